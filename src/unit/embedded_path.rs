//! Whether what was compiled holds the path of the target directory it was compiled in.
//!
//! Restored under another path, such a unit points into the old place, and Cargo takes it as fresh: it has to be
//! left out, with everything that was compiled against it. Two kinds of occurrence are harmless and very common
//! (every crate that includes generated code has them), and do not count: debug information, and the names of source
//! files, which only show up in diagnostics and panic messages.
//!
//! Errs on the side of leaving out: what cannot be parsed is searched whole.

use std::path::Path;

use object::{Object as _, ObjectSection as _, SectionKind, read::archive::ArchiveFile};

use super::{FileKind, Unit, UnitKind};

/// Text files of a build script's output that other builds read paths from.
const TEXTS_WITH_PATHS: [&str; 3] = ["pc", "la", "h"];

/// Whether the outputs of `unit`, whose files lie in the absolute directory `target`, hold the path of that directory
/// where it matters. What cannot be read counts as holding it.
pub fn holds_target_path(target: &Path, unit: &Unit) -> bool {
    // A path that is not UTF-8 never gets into a string of Rust code.
    let Some(text) = target.to_str() else {
        return false;
    };
    if unit.kind == UnitKind::BuildScriptRun {
        let search = PathSearch::new(text, []);
        return outputs(target, unit)
            .filter(|path| {
                let extension = path.extension().and_then(|extension| extension.to_str());
                extension.is_some_and(|extension| TEXTS_WITH_PATHS.contains(&extension))
            })
            .any(|path| fs_err::read(&path).map_or(true, |bytes| search.matters_in(&bytes)));
    }
    let dep_info = outputs(target, unit)
        .filter(|path| path.extension().is_some_and(|extension| extension == "d"))
        .filter_map(|path| fs_err::read_to_string(path).ok())
        .collect::<String>();
    let mentions = Mentions::of(&dep_info, text);
    if !mentions.reads_target {
        return false;
    }
    let search = PathSearch::new(text, mentions.sources.iter().map(String::as_str));
    outputs(target, unit)
        .filter(|path| path.extension().is_none_or(|extension| extension != "d"))
        .any(|path| fs_err::read(&path).map_or(true, |bytes| search.matters_in(&bytes)))
}

fn outputs<'a>(target: &'a Path, unit: &'a Unit) -> impl Iterator<Item = std::path::PathBuf> + 'a {
    unit.files
        .iter()
        .filter(|file| file.kind == FileKind::File && !file.is_fingerprint)
        .map(|file| file.path.below(target))
}

/// What a `.d` file says of the target directory. Code can hold its path only if one of these is so: it read a variable
/// that holds it, or it included a file from there.
struct Mentions {
    reads_target: bool,
    sources: Vec<String>,
}

impl Mentions {
    fn of(dep_info: &str, target: &str) -> Self {
        let variables = dep_info
            .lines()
            .filter_map(|line| line.strip_prefix("# env-dep:"))
            .any(|variable| variable.contains(target));
        // rustc closes a `.d` file with an empty rule for every source file, which is a list without continuation.
        let sources: Vec<_> = dep_info
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.strip_suffix(':'))
            .map(|source| source.replace("\\ ", " "))
            .filter(|source| source.starts_with(target))
            .collect();
        Self {
            reads_target: variables || !sources.is_empty(),
            sources,
        }
    }
}

/// What to look for in a unit's outputs.
#[derive(Clone, Debug)]
struct PathSearch {
    target: Vec<u8>,
    sources: Vec<Vec<u8>>,
}

impl PathSearch {
    /// Looks for `target`, the absolute path of the target directory; `sources` are the absolute paths of the
    /// unit's source files, as its `.d` file names them.
    fn new<'path>(target: &str, sources: impl IntoIterator<Item = &'path str>) -> Self {
        Self {
            target: target.as_bytes().to_vec(),
            sources: sources
                .into_iter()
                .filter(|source| source.starts_with(target))
                .map(|source| source.as_bytes().to_vec())
                .collect(),
        }
    }

    /// Whether `bytes`, a library, executable, metadata or text file, hold the path in a way that matters.
    fn matters_in(&self, bytes: &[u8]) -> bool {
        if let Ok(archive) = ArchiveFile::parse(bytes) {
            return archive.members().any(|member| {
                member
                    .ok()
                    .and_then(|member| member.data(bytes).ok())
                    .is_none_or(|data| self.matters_in_object(data))
            });
        }
        self.matters_in_object(bytes)
    }

    fn matters_in_object(&self, bytes: &[u8]) -> bool {
        match object::File::parse(bytes) {
            Ok(file) => file
                .sections()
                .filter(|section| !is_debug_information(section))
                .any(|section| match section.data() {
                    Ok(data) => self.matters_in_plain(data),
                    Err(_) => true,
                }),
            Err(_) => self.matters_in_plain(bytes),
        }
    }

    fn matters_in_plain(&self, bytes: &[u8]) -> bool {
        memchr::memmem::find_iter(bytes, &self.target).any(|start| {
            let text = &bytes[start..];
            // Neither metadata nor read-only data ends its strings, so the name of a source file is recognised by
            // how it begins.
            !self.sources.iter().any(|source| text.starts_with(source))
        })
    }
}

fn is_debug_information(section: &object::Section<'_, '_>) -> bool {
    if matches!(
        section.kind(),
        SectionKind::Debug | SectionKind::DebugString
    ) {
        return true;
    }
    let named_so = |name: &str| name.starts_with(".debug") || name.starts_with("__debug");
    section.name().is_ok_and(named_so)
        || section
            .segment_name()
            .is_ok_and(|segment| segment == Some("__DWARF"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::process::user_command;

    /// Compiles `code` as a library with debug information, as Cargo would with this OUT_DIR.
    fn compile(code: &str, directory: &Path) -> Vec<Vec<u8>> {
        let out = directory.join("target/out");
        fs_err::create_dir_all(&out).expect("it can be made");
        fs_err::write(
            out.join("generated.rs"),
            "pub fn first<T: Copy>(all: &[T]) -> T { all[0] }",
        )
        .expect("it can be written");
        let source = directory.join("lib.rs");
        fs_err::write(&source, code).expect("it can be written");
        let status = user_command("rustc".as_ref())
            .args(["--crate-type=rlib", "--emit=metadata,link", "-g"])
            .args(["--crate-name=probe", "--out-dir"])
            .arg(directory)
            .arg(&source)
            .env("OUT_DIR", &out)
            .status()
            .expect("rustc is there");
        assert!(status.success());
        ["libprobe.rlib", "libprobe.rmeta"]
            .map(|name| fs_err::read(directory.join(name)).expect("it was made"))
            .to_vec()
    }

    fn matters(code: &str) -> bool {
        let directory = tempfile::tempdir().expect("there is room");
        let target = directory.path().join("target");
        let generated = target.join("out/generated.rs");
        let outputs = compile(code, directory.path());
        let text = |path: &Path| path.to_str().expect("it is UTF-8").to_owned();
        let search = PathSearch::new(&text(&target), [text(&generated).as_str()]);
        assert!(
            outputs
                .iter()
                .any(|bytes| memchr::memmem::find(bytes, text(&target).as_bytes()).is_some()),
            "the path must be in there somewhere, or the test shows nothing"
        );
        outputs.iter().any(|bytes| search.matters_in(bytes))
    }

    #[test]
    fn included_generated_code_holds_the_path_only_where_it_does_not_matter() {
        assert!(!matters(
            r#"include!(concat!(env!("OUT_DIR"), "/generated.rs")); pub fn two() -> u8 { first(&[2]) }"#
        ));
    }

    #[test]
    fn a_path_in_a_string_matters() {
        assert!(matters(
            r#"pub fn tool() -> &'static str { concat!(env!("OUT_DIR"), "/bin/protoc") }"#
        ));
    }

    #[test]
    fn a_path_in_an_inlined_function_or_constant_matters() {
        assert!(matters(
            r#"#[inline(always)] pub fn tool<T>() -> &'static str { env!("OUT_DIR") }"#
        ));
        assert!(matters(r#"pub const TOOL: &str = env!("OUT_DIR");"#));
    }
}
