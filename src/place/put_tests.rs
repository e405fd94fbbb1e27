//! Tests of [`super`], with faults injected after every number of changes.

use std::{cell::Cell, collections::BTreeMap};

use super::*;

const NEVER: usize = usize::MAX;

/// The real file system, until it fails.
struct Failing {
    /// How many changes succeed before one fails.
    after: usize,
    /// How many fail then; all the rest if the process is to be thought of as killed.
    failures: usize,
    kind: io::ErrorKind,
    done: Cell<usize>,
}

impl Failing {
    fn new(after: usize, failures: usize, kind: io::ErrorKind) -> Self {
        Self {
            after,
            failures,
            kind,
            done: Cell::new(0),
        }
    }

    fn count(&self) -> io::Result<()> {
        let done = self.done.replace(self.done.get() + 1);
        if done >= self.after && done - self.after < self.failures {
            return Err(self.kind.into());
        }
        Ok(())
    }
}

impl Moves for Failing {
    fn move_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count()?;
        FileSystem.move_new(from, to)
    }

    fn make_directory(&self, path: &Path, permissions: &Permissions) -> io::Result<()> {
        self.count()?;
        FileSystem.make_directory(path, permissions)
    }
}

/// Another process that creates the target of one move right before it.
struct Racing {
    before: usize,
    done: Cell<usize>,
}

impl Moves for Racing {
    fn move_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.done.replace(self.done.get() + 1) == self.before {
            fs::write(to, "of another process").unwrap();
        }
        FileSystem.move_new(from, to)
    }

    fn make_directory(&self, path: &Path, permissions: &Permissions) -> io::Result<()> {
        FileSystem.make_directory(path, permissions)
    }
}

/// A staged tree like that of a target directory: two units and a shared file.
const UNIT_A: [&str; 4] = [
    "debug/deps/liba-1.rlib",
    "debug/deps/liba-1.rmeta",
    "debug/build/a-1/out/nested/generated.rs",
    "debug/.fingerprint/a-1/lib-a",
];
const UNIT_B: [&str; 3] = [
    "debug/deps/libb-2.rlib",
    "debug/.fingerprint/b-2/dep-lib-b",
    "debug/.fingerprint/b-2/lib-b",
];

fn piece(name: &str, files: &[&str]) -> Piece {
    Piece {
        name: name.to_owned(),
        files: files
            .iter()
            .map(|file| RelativePath::new(*file).unwrap())
            .collect(),
    }
}

fn two_units() -> [Piece; 2] {
    [piece("a", &UNIT_A), piece("b", &UNIT_B)]
}

fn write(root: &Path, file: &str, content: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

struct Scene {
    root: tempfile::TempDir,
    staging: Staging,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::create(root.path()).unwrap();
        for file in UNIT_A.iter().chain(&UNIT_B) {
            write(staging.path(), file, "restored");
        }
        Self { root, staging }
    }

    fn place(&self, moves: &dyn Moves, pieces: &[Piece]) -> Placed {
        place_pieces_by(moves, self.staging.path(), self.root.path(), pieces).unwrap()
    }

    /// Every file and directory of the root with its content, staging left out.
    fn content(&self) -> BTreeMap<String, Option<String>> {
        walkdir::WalkDir::new(self.root.path())
            .min_depth(1)
            .into_iter()
            .filter_entry(|entry| {
                !entry
                    .file_name()
                    .to_str()
                    .unwrap()
                    .starts_with(STAGING_PREFIX)
            })
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.path().strip_prefix(self.root.path()).unwrap();
                let content = entry
                    .file_type()
                    .is_file()
                    .then(|| fs::read_to_string(entry.path()).unwrap());
                (name.to_str().unwrap().to_owned(), content)
            })
            .collect()
    }

    fn has(&self, file: &str) -> bool {
        self.root.path().join(file).exists()
    }
}

#[test]
fn pieces_of_which_nothing_is_there_are_put_in_place() {
    let scene = Scene::new();
    let placed = scene.place(&FileSystem, &two_units());
    assert_eq!(placed.placed, [0, 1]);
    assert!(placed.present.is_empty() && placed.stopped.is_none());
    assert!(UNIT_A.iter().chain(&UNIT_B).all(|file| scene.has(file)));
}

#[rstest::rstest]
fn a_piece_of_which_any_file_is_there_is_left_out_whole(
    #[values(0, 1, 2, 3)] which: usize,
    #[values(true, false)] is_a_file: bool,
) {
    let scene = Scene::new();
    if is_a_file {
        write(scene.root.path(), UNIT_A[which], "of before");
    } else {
        fs::create_dir_all(scene.root.path().join(UNIT_A[which])).unwrap();
    }
    let before = scene.content();
    let placed = scene.place(&FileSystem, &two_units()[..1]);
    assert_eq!(placed.present, [0]);
    assert_eq!(scene.content(), before);
}

#[test]
fn a_piece_that_is_a_directory_is_left_out_if_the_directory_is_there() {
    let scene = Scene::new();
    write(scene.staging.path(), "git/db/x-1/HEAD", "restored");
    fs::create_dir_all(scene.root.path().join("git/db/x-1")).unwrap();
    let placed = scene.place(&FileSystem, &[piece("x", &["git/db/x-1"])]);
    assert_eq!(placed.present, [0]);
    assert!(!scene.has("git/db/x-1/HEAD"));
}

#[test]
fn a_piece_that_is_a_directory_comes_with_all_it_holds() {
    let scene = Scene::new();
    write(scene.staging.path(), "git/db/x-1/HEAD", "restored");
    fs::create_dir(scene.staging.path().join("git/db/x-1/refs")).unwrap();
    let placed = scene.place(&FileSystem, &[piece("x", &["git/db/x-1"])]);
    assert_eq!(placed.placed, [0]);
    assert!(scene.has("git/db/x-1/HEAD") && scene.has("git/db/x-1/refs"));
}

/// Disk full or permission denied at any point: the root is as before, or holds the pieces that were finished.
#[rstest::rstest]
fn a_failure_after_any_number_of_changes_leaves_whole_pieces_only(
    #[values(io::ErrorKind::StorageFull, io::ErrorKind::PermissionDenied)] kind: io::ErrorKind,
) {
    let mut failed = 0;
    for after in 0.. {
        let scene = Scene::new();
        write(scene.root.path(), "debug/.cargo-lock", "");
        let before = scene.content();
        let placed = scene.place(&Failing::new(after, 1, kind), &two_units());
        let Some(stopped) = placed.stopped else {
            assert_eq!(placed.placed, [0, 1]);
            break;
        };
        failed += 1;
        assert_eq!(placed.placed, (0..stopped.piece).collect::<Vec<_>>());
        assert!(UNIT_B.iter().all(|file| !scene.has(file)));
        if stopped.piece == 0 {
            assert_eq!(scene.content(), before, "after {after} changes");
        } else {
            assert!(UNIT_A.iter().all(|file| scene.has(file)));
        }
    }
    assert!(failed >= UNIT_A.len() + UNIT_B.len());
}

/// A kill is a failure after which nothing succeeds any more, the taking back neither.
#[test]
fn a_kill_after_any_number_of_changes_leaves_no_fingerprint_without_its_outputs() {
    for after in 0.. {
        let scene = Scene::new();
        let kind = io::ErrorKind::Interrupted;
        let placed = scene.place(&Failing::new(after, NEVER, kind), &two_units());
        for unit in [&UNIT_A[..], &UNIT_B[..]] {
            let (fingerprint, outputs) = unit.split_last().unwrap();
            if scene.has(fingerprint) {
                assert!(outputs.iter().all(|output| scene.has(output)));
            }
        }
        if placed.stopped.is_none() {
            break;
        }
    }
}

#[test]
fn what_cannot_be_taken_back_is_named() {
    let scene = Scene::new();
    write(scene.root.path(), "debug/deps/x", "");
    // One move succeeds, the next fails, and so does taking the first back.
    let placed = scene.place(
        &Failing::new(1, NEVER, io::ErrorKind::StorageFull),
        &two_units(),
    );
    let error = placed.stopped.unwrap().error;
    assert!(matches!(
        error,
        PlaceError::LeftInPart { piece, path, .. } if piece == "a" && path.ends_with(UNIT_A[0])
    ));
}

/// A Cargo that does not keep to locks creates a file while we are at it.
#[test]
fn a_piece_that_another_process_makes_meanwhile_is_taken_back_and_counts_as_present() {
    let mut races = 0;
    for before in 0.. {
        let scene = Scene::new();
        let racing = Racing {
            before,
            done: Cell::new(0),
        };
        let placed = scene.place(&racing, &two_units()[..1]);
        if placed.placed == [0] {
            break;
        }
        races += 1;
        assert_eq!(placed.present, [0]);
        let files: Vec<_> = scene.content().into_values().flatten().collect();
        assert_eq!(files, ["of another process"]);
    }
    assert!(races > 0);
}

#[test]
fn a_file_where_a_directory_should_be_is_in_the_way_and_stays() {
    let scene = Scene::new();
    write(scene.root.path(), "debug/deps", "a file");
    let before = scene.content();
    let placed = scene.place(&FileSystem, &two_units());
    assert_eq!(placed.present, [0, 1]);
    assert_eq!(scene.content(), before);
}

#[test]
fn directories_that_were_made_have_the_times_of_the_staged_ones() {
    let scene = Scene::new();
    write(scene.root.path(), "debug/deps/of-before", "");
    let times = [
        ("debug/build/a-1/out/nested", 1_600_000_001),
        ("debug/build/a-1/out", 1_600_000_002),
        ("debug/build/a-1", 1_600_000_003),
        ("debug/.fingerprint", 1_600_000_004),
        ("debug/.fingerprint/a-1", 1_600_000_005),
    ];
    for (directory, seconds) in times {
        let time = FileTime::from_unix_time(seconds, 0);
        filetime::set_file_mtime(scene.staging.path().join(directory), time).unwrap();
    }
    scene.place(&FileSystem, &two_units());
    for (directory, seconds) in times {
        let facts = fs::metadata(scene.root.path().join(directory)).unwrap();
        let time = FileTime::from_last_modification_time(&facts);
        assert_eq!(time, FileTime::from_unix_time(seconds, 0), "{directory}");
    }
}

#[cfg(unix)]
#[test]
fn directories_that_were_made_have_the_modes_of_the_staged_ones() {
    use std::os::unix::fs::PermissionsExt as _;

    let scene = Scene::new();
    let directory = "debug/.fingerprint";
    fs::set_permissions(
        scene.staging.path().join(directory),
        Permissions::from_mode(0o750),
    )
    .unwrap();
    scene.place(&FileSystem, &two_units());
    let facts = fs::metadata(scene.root.path().join(directory)).unwrap();
    assert_eq!(facts.permissions().mode() & 0o7777, 0o750);
}

#[test]
fn an_empty_directory_inside_a_unit_comes_along() {
    let scene = Scene::new();
    let empty = "debug/build/a-1/out/empty";
    fs::create_dir(scene.staging.path().join(empty)).unwrap();
    scene.place(&FileSystem, &two_units());
    assert!(scene.has(empty));
}

#[test]
fn what_belongs_to_no_piece_is_not_put_in_place() {
    let scene = Scene::new();
    write(scene.staging.path(), "debug/build/a-1/out/nested/other", "");
    scene.place(&FileSystem, &two_units());
    assert!(scene.has(UNIT_A[2]));
    assert!(!scene.has("debug/build/a-1/out/nested/other"));
}

#[cfg(unix)]
#[test]
fn hard_links_within_a_piece_survive() {
    use std::os::unix::fs::MetadataExt as _;

    let scene = Scene::new();
    let uplifted = "debug/liba.rlib";
    fs::hard_link(
        scene.staging.path().join(UNIT_A[0]),
        scene.staging.path().join(uplifted),
    )
    .unwrap();
    let mut files = UNIT_A.to_vec();
    files.insert(1, uplifted);
    scene.place(&FileSystem, &[piece("a", &files)]);
    let inode = |file| fs::metadata(scene.root.path().join(file)).unwrap().ino();
    assert_eq!(inode(uplifted), inode(UNIT_A[0]));
}

#[test]
fn a_piece_with_a_file_that_was_not_unpacked_stops_the_placing() {
    let scene = Scene::new();
    let placed = scene.place(&FileSystem, &[piece("a", &["debug/missing"])]);
    assert!(matches!(
        placed.stopped.unwrap().error,
        PlaceError::NotStaged { piece, .. } if piece == "a"
    ));
}

#[test]
fn an_absent_root_is_one_rename() {
    let project = tempfile::tempdir().unwrap();
    let root = project.path().join("deep/target");
    let staging = Staging::create(&root).unwrap();
    write(staging.path(), UNIT_A[0], "restored");
    assert!(place_whole(&staging).unwrap());
    drop(staging);
    assert!(root.join(UNIT_A[0]).exists());
    assert_eq!(names_in(&root).unwrap(), ["debug"]);
    assert_eq!(names_in(project.path()).unwrap(), ["deep"]);
}

#[rstest::rstest]
fn a_root_that_appeared_meanwhile_is_left_alone(#[values(true, false)] is_empty: bool) {
    let project = tempfile::tempdir().unwrap();
    let root = project.path().join("target");
    let staging = Staging::create(&root).unwrap();
    write(staging.path(), UNIT_A[0], "restored");
    fs::create_dir(&root).unwrap();
    if !is_empty {
        write(&root, "of-before", "");
    }
    assert!(!place_whole(&staging).unwrap());
    assert!(!root.join(UNIT_A[0]).exists());
    assert!(staging.path().join(UNIT_A[0]).exists());
}

#[test]
fn an_empty_directory_is_filled() {
    let root = tempfile::tempdir().unwrap();
    let staging = Staging::create(root.path()).unwrap();
    write(staging.path(), "a/b", "restored");
    write(staging.path(), "c", "restored");
    assert!(place_where_empty(&staging).unwrap());
    drop(staging);
    assert_eq!(names_in(root.path()).unwrap(), ["a", "c"]);
}

#[test]
fn a_directory_that_holds_anything_is_not_filled() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "of-before", "");
    let staging = Staging::create(root.path()).unwrap();
    write(staging.path(), "a", "restored");
    assert!(!place_where_empty(&staging).unwrap());
    drop(staging);
    assert_eq!(names_in(root.path()).unwrap(), ["of-before"]);
}

#[test]
fn a_piece_that_was_placed_can_be_taken_back() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("bin")).unwrap();
    let staging = Staging::create(root.path()).unwrap();
    write(staging.path(), "bin/tool", "restored");
    let tool = piece("tool", &["bin/tool"]);
    place_pieces(&staging, std::slice::from_ref(&tool)).unwrap();
    assert!(root.path().join("bin/tool").exists());
    take_back(&staging, &tool).unwrap();
    assert!(!root.path().join("bin/tool").exists());
    assert!(staging.path().join("bin/tool").exists());
}
