//! Published projects, fetched from crates.io by Cargo itself.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{Sandbox, checkout, copy_tree};

/// A project as its authors published it, with their Cargo.lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) name: &'static str,
    version: &'static str,
}

/// Pure Rust, with procedural macros: a hex viewer.
pub(crate) const HEXYL: Published = Published {
    name: "hexyl",
    version: "0.17.0",
};

/// Build scripts, procedural macros, and C and assembly through `cc` (blake3): a command runner.
pub(crate) const JUST: Published = Published {
    name: "just",
    version: "1.59.0",
};

impl Published {
    /// A clone at `name` in the sandbox.
    pub(crate) fn checkout(self, sandbox: &Sandbox, name: &str) -> PathBuf {
        checkout(sandbox, &self.source(), name)
    }

    /// The project's sources, in this repository's target directory: fetched once, then kept.
    pub(crate) fn source(self) -> PathBuf {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("published");
        fs::create_dir_all(&kept).unwrap();
        let source = kept.join(format!("{}-{}", self.name, self.version));
        // Tests are processes of their own under nextest, threads otherwise: a file lock serves both.
        let lock = fs::File::create(kept.join("lock")).unwrap();
        lock.lock().unwrap();
        if !source.exists() {
            let fetched = tempfile::tempdir_in(&kept).unwrap();
            self.fetch(fetched.path());
            fs::rename(fetched.path(), &source).unwrap();
        }
        source
    }

    /// Lets Cargo fetch a package that depends on the project, and copies what it unpacked.
    fn fetch(self, to: &Path) {
        let sandbox = Sandbox::new();
        let dependent = sandbox.path("dependent");
        fs::create_dir_all(dependent.join("src")).unwrap();
        fs::write(dependent.join("src/lib.rs"), "").unwrap();
        fs::write(
            dependent.join("Cargo.toml"),
            format!(
                "[package]\nname = \"dependent\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{} = \"={}\"\n",
                self.name, self.version
            ),
        )
        .unwrap();
        sandbox.cargo(&dependent, &["fetch", "--quiet"]);
        let indexes = sandbox.cargo_home().join("registry/src");
        let index = fs::read_dir(indexes).unwrap().next().unwrap().unwrap();
        let package = format!("{}-{}", self.name, self.version);
        copy_tree(&index.path().join(&package), to);
        for added in [".cargo-ok", "Cargo.toml.orig", ".cargo_vcs_info.json"] {
            let added = to.join(added);
            if added.exists() {
                fs::remove_file(added).unwrap();
            }
        }
        assert!(
            to.join("Cargo.lock").exists(),
            "{package} has no Cargo.lock"
        );
    }
}

#[test]
fn a_published_project_comes_with_its_lockfile() {
    let sandbox = Sandbox::new();
    let clone = HEXYL.checkout(&sandbox, "clone");
    assert!(clone.join("Cargo.lock").exists());
    assert!(clone.join(".git").exists());
    assert!(!clone.join("target").exists());
}
