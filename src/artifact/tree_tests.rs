//! What counts as a change of a checkout, tried on real repositories.

use super::*;

struct Repository {
    _directory: tempfile::TempDir,
    root: PathBuf,
}

impl Repository {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let root = fs_err::canonicalize(directory.path()).expect("it is there");
        let repository = Self {
            root: root.join("main"),
            _directory: directory,
        };
        repository.git_at("", &["init", "-q"]);
        repository.write("src/lib.rs", "fn a() {}");
        repository.write(".gitignore", "*.log\n");
        repository.commit("");
        repository
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs_err::create_dir_all(path.parent().expect("it has one")).expect("made");
        fs_err::write(path, text).expect("written");
    }

    fn git_at(&self, place: &str, arguments: &[&str]) {
        let place = self.root.join(place);
        fs_err::create_dir_all(&place).expect("made");
        let settings = [
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            "-c",
            "protocol.file.allow=always",
        ];
        Tool::new("git", &place, &Environment::of_process())
            .args(settings.iter().chain(arguments))
            .output()
            .expect("git does it");
    }

    fn commit(&self, place: &str) {
        self.git_at(place, &["add", "--all"]);
        self.git_at(place, &["commit", "-q", "-m", "x"]);
    }

    fn state(&self) -> TreeState {
        self.state_with(&[], &[])
    }

    fn state_with(&self, outputs: &[&str], included: &[&str]) -> TreeState {
        let outputs: Vec<_> = outputs.iter().map(|path| self.root.join(path)).collect();
        let included: Vec<_> = included
            .iter()
            .map(|&path| (path.to_owned(), self.root.join(path)))
            .collect();
        let request = TreeRequest {
            root: &self.root,
            outputs: &outputs,
            included: &included,
        };
        read_tree(&request, &Environment::of_process()).expect("everything can be read")
    }
}

#[test]
fn an_edit_makes_another_state_and_a_reverted_edit_the_old_one() {
    let repository = Repository::new();
    let before = repository.state();
    repository.write("src/lib.rs", "fn b() {}");
    let edited = repository.state();
    assert_ne!(edited, before);
    assert_ne!(edited.digest(), before.digest());
    assert_eq!(edited.first_difference(&before), Some("src/lib.rs"));
    repository.write("src/lib.rs", "fn a() {}");
    assert_eq!(repository.state(), before);
}

#[test]
fn the_content_of_an_untracked_file_counts_and_not_only_its_name() {
    let repository = Repository::new();
    let before = repository.state();
    repository.write("src/new.rs", "1");
    let first = repository.state();
    repository.write("src/new.rs", "2");
    let second = repository.state();
    assert_ne!(first, second);
    assert_ne!(first, before);
    fs_err::remove_file(repository.root.join("src/new.rs")).expect("removed");
    assert_eq!(second.first_difference(&before), Some("src/new.rs"));
    assert_eq!(before.first_difference(&second), Some("src/new.rs"));
    assert_eq!(repository.state(), before);
}

#[test]
fn what_git_ignores_counts_only_if_it_is_included() {
    let repository = Repository::new();
    let before = repository.state();
    repository.write("x.log", "1");
    assert_eq!(repository.state(), before);
    let included = repository.state_with(&[], &["x.log"]);
    repository.write("x.log", "2");
    assert_ne!(repository.state_with(&[], &["x.log"]), included);
    assert_eq!(repository.state(), before);
}

#[test]
fn what_the_command_makes_is_no_input_unless_it_is_tracked() {
    let repository = Repository::new();
    let before = repository.state();
    repository.write("out/app", "1");
    assert_eq!(repository.state_with(&["out/app"], &[]), before);
    assert_eq!(repository.state_with(&["out"], &[]), before);
    repository.write("src/lib.rs", "fn b() {}");
    assert_ne!(repository.state_with(&["out", "src/lib.rs"], &[]), before);
}

#[cfg(unix)]
#[test]
fn a_change_of_mode_and_of_where_a_link_points_counts() {
    use std::os::unix::fs::PermissionsExt as _;
    let repository = Repository::new();
    // Which some people have set, and which must not hide a mode.
    repository.git_at("", &["config", "core.fileMode", "false"]);
    let before = repository.state();
    let file = repository.root.join("src/lib.rs");
    fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("set");
    assert_ne!(repository.state(), before);
    fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
    assert_eq!(repository.state(), before);
    let link = repository.root.join("link");
    fs_err::os::unix::fs::symlink("a", &link).expect("made");
    let to_a = repository.state();
    fs_err::remove_file(&link).expect("removed");
    fs_err::os::unix::fs::symlink("b", &link).expect("made");
    assert_ne!(repository.state(), to_a);
}

#[test]
fn a_submodule_counts_by_its_commit_and_by_what_lies_in_it() {
    let repository = Repository::new();
    let other = repository.root.with_file_name("other");
    fs_err::create_dir(&other).expect("made");
    repository.git_at("../other", &["init", "-q"]);
    repository.write("../other/a", "1");
    repository.commit("../other");
    repository.git_at("", &["submodule", "--quiet", "add", "../other", "sub"]);
    repository.commit("");
    let before = repository.state();
    repository.write("sub/a", "dirty");
    let dirty = repository.state();
    assert_eq!(dirty.first_difference(&before), Some("sub/a"));
    repository.write("sub/untracked", "1");
    assert_ne!(repository.state(), dirty);
    fs_err::remove_file(repository.root.join("sub/untracked")).expect("removed");
    repository.write("sub/a", "1");
    assert_eq!(repository.state(), before);
    repository.git_at("sub", &["commit", "-q", "--allow-empty", "-m", "bump"]);
    assert_ne!(repository.state(), before);
}

#[test]
fn a_file_that_git_was_told_not_to_look_at_is_looked_at() {
    let repository = Repository::new();
    repository.git_at("", &["update-index", "--assume-unchanged", "src/lib.rs"]);
    let before = repository.state();
    repository.write("src/lib.rs", "fn b() {}");
    assert_ne!(repository.state(), before);
    repository.write("src/lib.rs", "fn a() {}");
    repository.git_at("", &["update-index", "--no-assume-unchanged", "src/lib.rs"]);
    repository.git_at("", &["update-index", "--skip-worktree", "src/lib.rs"]);
    let before = repository.state();
    repository.write("src/lib.rs", "fn b() {}");
    assert_ne!(repository.state(), before);
}

#[test]
fn a_file_that_a_filter_writes_counts_by_its_bytes() {
    let repository = Repository::new();
    repository.write(".gitattributes", "*.bin filter=large\n");
    // The filter stores the same for whatever lies there.
    repository.git_at("", &["config", "filter.large.clean", "echo pointer"]);
    repository.write("x.bin", "1");
    repository.commit("");
    let before = repository.state();
    repository.write("x.bin", "2");
    assert_ne!(repository.state(), before);
}

#[test]
fn a_repository_that_merely_lies_there_counts_by_its_files() {
    let repository = Repository::new();
    repository.git_at("nested", &["init", "-q"]);
    repository.write("nested/a", "1");
    let before = repository.state();
    repository.write("nested/a", "2");
    assert_ne!(repository.state(), before);
}

#[test]
fn an_edit_that_is_staged_is_an_edit() {
    let repository = Repository::new();
    let before = repository.state();
    repository.write("src/lib.rs", "fn b() {}");
    repository.git_at("", &["add", "--all"]);
    assert_ne!(repository.state(), before);
    fs_err::remove_file(repository.root.join("src/lib.rs")).expect("removed");
    let removed = repository.state();
    assert_ne!(removed, before);
}

#[test]
fn where_there_is_no_repository_git_says_so() {
    let directory = tempfile::tempdir().expect("there is room");
    let request = TreeRequest {
        root: directory.path(),
        outputs: &[],
        included: &[],
    };
    let error = read_tree(&request, &Environment::of_process());
    assert!(matches!(error, Err(TreeError::Git { .. })));
}
