//! Whether what a project builds may depend on more of git than the files: its commit, branch or tags.
//!
//! By the lists of [`crate::freshness::signs`]: names of packages that read git for those who build with them, and the
//! text of build scripts, procedural macros, and path packages that those are built with. Errs on the side of finding
//! one: then the commit counts, which costs a build.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use toml::{Table, Value};
use walkdir::WalkDir;

use crate::{
    freshness::signs::{Sign, sign_of_package, signs_of_source},
    project::{ManifestFile, Project},
};

/// The tables of a manifest that name what its build script is built with.
const BUILD_DEPENDENCIES: &str = "build-dependencies";

/// The first sign that is found, in words.
pub(super) fn git_sign(project: &Project) -> Option<String> {
    let locked = project
        .workspaces
        .iter()
        .filter_map(|workspace| workspace.lockfile.as_ref())
        .flat_map(|lockfile| &lockfile.packages);
    let by_name = locked
        .map(|package| package.name.to_string())
        .find(|name| matches!(sign_of_package(name), Some(Sign::Git(_))));
    if let Some(name) = by_name {
        return Some(format!("{name} reads git"));
    }
    let manifests: Vec<_> = project
        .workspaces
        .iter()
        .flat_map(|workspace| &workspace.manifests)
        .collect();
    let for_scripts: BTreeSet<_> = manifests
        .iter()
        .flat_map(|manifest| build_dependencies(&manifest.table))
        .collect();
    manifests
        .iter()
        .flat_map(|manifest| sources(manifest, &for_scripts))
        .find_map(|source| {
            let text = fs_err::read(&source).ok()?;
            let signs = signs_of_source(&String::from_utf8_lossy(&text), &[]);
            let sign = signs.into_iter().find_map(|sign| match sign {
                Sign::Git(text) => Some(text),
                _ => None,
            })?;
            Some(format!("{} says {sign:?}", source.display()))
        })
}

/// The names of packages that build scripts of a package are built with, under whatever platform.
fn build_dependencies(manifest: &Table) -> Vec<String> {
    let platforms = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(platforms)
        .filter_map(|table| table.get(BUILD_DEPENDENCIES)?.as_table())
        .flatten()
        .flat_map(|(name, value)| {
            let renamed = value.get("package").and_then(Value::as_str);
            std::iter::once(name.clone()).chain(renamed.map(str::to_owned))
        })
        .collect()
}

/// The sources of a package that run while it, or another one, is compiled.
fn sources(manifest: &ManifestFile, for_scripts: &BTreeSet<String>) -> Vec<PathBuf> {
    let package = manifest.table.get("package").and_then(Value::as_table);
    let name = package
        .and_then(|package| package.get("name"))
        .and_then(Value::as_str);
    let is_macro = manifest
        .table
        .get("lib")
        .and_then(|library| {
            library
                .get("proc-macro")
                .or_else(|| library.get("proc_macro"))
        })
        .and_then(Value::as_bool)
        .unwrap_or(false);
    if is_macro || name.is_some_and(|name| for_scripts.contains(name)) {
        return rust_files(&manifest.directory, usize::MAX);
    }
    let script = match package.and_then(|package| package.get("build")) {
        Some(Value::Boolean(false)) => return Vec::new(),
        Some(Value::String(path)) => manifest.directory.join(path),
        _ => manifest.directory.join("build.rs"),
    };
    if !script.is_file() {
        return Vec::new();
    }
    // Modules of the script lie beside it.
    let depth = if script.parent() == Some(manifest.directory.as_path()) {
        1
    } else {
        usize::MAX
    };
    let mut files = rust_files(script.parent().unwrap_or(&manifest.directory), depth);
    files.push(script);
    files
}

fn rust_files(directory: &Path, depth: usize) -> Vec<PathBuf> {
    WalkDir::new(directory)
        .max_depth(depth)
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != "target")
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::settings::ManifestRole;

    fn manifest(directory: &Path, text: &str) -> ManifestFile {
        ManifestFile {
            directory: directory.to_owned(),
            role: ManifestRole::Member,
            table: text.parse().expect("it is sound"),
        }
    }

    fn names(manifest: &ManifestFile, for_scripts: &[&str]) -> Vec<String> {
        let for_scripts = for_scripts.iter().map(|&name| name.to_owned()).collect();
        let mut names: Vec<_> = sources(manifest, &for_scripts)
            .iter()
            .filter_map(|path| path.strip_prefix(&manifest.directory).ok())
            .map(|path| path.to_string_lossy().replace('\\', "/"))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    #[test]
    fn what_runs_while_a_package_is_compiled_is_looked_at_and_nothing_else() {
        let directory = tempfile::tempdir().expect("there is room");
        let directory = directory.path();
        for file in [
            "src/lib.rs",
            "build.rs",
            "version.rs",
            "build/main.rs",
            "build/git.rs",
        ] {
            let path = directory.join(file);
            fs_err::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs_err::write(path, "").expect("written");
        }
        let plain = manifest(directory, "[package]\nname = \"a\"");
        assert_eq!(names(&plain, &[]), ["build.rs", "version.rs"]);
        let elsewhere = manifest(
            directory,
            "[package]\nname = \"a\"\nbuild = \"build/main.rs\"",
        );
        assert_eq!(names(&elsewhere, &[]), ["build/git.rs", "build/main.rs"]);
        let none = manifest(directory, "[package]\nname = \"a\"\nbuild = false");
        assert!(names(&none, &[]).is_empty());
        assert_eq!(names(&none, &["a"]).len(), 5);
        let of_macro = manifest(
            directory,
            "[package]\nname = \"a\"\n[lib]\nproc-macro = true",
        );
        assert_eq!(names(&of_macro, &[]).len(), 5);
    }

    #[test]
    fn packages_that_scripts_are_built_with_are_known_by_all_of_their_names() {
        let table = "[build-dependencies]\na = \"1\"\nb = { package = \"c\", path = \"../c\" }\n\
            [target.'cfg(unix)'.build-dependencies]\nd = { path = \"../d\" }";
        let names = build_dependencies(&table.parse().expect("it is sound"));
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}
