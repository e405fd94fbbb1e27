//! The directory store as its users see it.

use std::time::UNIX_EPOCH;

use rstest::rstest;

use super::*;
use crate::{policy::Scope, process::user_command};

/// Time is no matter here.
pub(super) const NEVER: Deadline = Deadline::never();
const DEPS: &str = "hotcrate-v1-deps-";

/// What a test says of its store; everything else is the same everywhere.
pub(super) struct Setting {
    pub(super) directory: PathBuf,
    pub(super) project: &'static str,
    pub(super) scopes: Scopes,
    pub(super) max_bytes: u64,
}

impl Setting {
    pub(super) fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            project: "it",
            scopes: Scopes::local(),
            max_bytes: 1000,
        }
    }

    pub(super) fn open(self) -> DirStore {
        self.try_open().unwrap()
    }

    fn try_open(self) -> Result<DirStore, StoreError> {
        DirStore::open(DirOptions {
            directory: self.directory,
            project: ProjectIdentity::from_packages([self.project]),
            scopes: self.scopes,
            max_bytes: self.max_bytes,
            lock_wait: DirStore::DEFAULT_LOCK_WAIT,
        })
    }
}

pub(super) fn granted(reservation: Result<Reservation, StoreError>) -> Box<dyn Upload> {
    match reservation.unwrap() {
        Reservation::Granted(upload) => upload,
        Reservation::Taken => panic!("the key is taken"),
    }
}

/// Stores `content` under `key`, and returns where it lies.
fn save(store: &DirStore, key: &str, content: &[u8]) -> PathBuf {
    let mut upload = granted(store.begin(key, NEVER));
    upload.write_all(content.to_vec()).unwrap();
    assert!(upload.finish().unwrap(), "{key} is there already");
    let scope = store.options.scopes.own().as_str();
    layout::entry_in(&store.scope_directory(scope), key)
}

/// Sets when the entry at `path` was used and stored, in seconds.
fn set_times(path: &Path, used_at: i64, stored_at: i64) {
    let time = |seconds| FileTime::from_unix_time(seconds, 0);
    filetime::set_file_times(path, time(used_at), time(stored_at)).unwrap();
}

fn look_up(store: &DirStore, key: &str, restore_keys: &[&str]) -> Option<String> {
    let restore_keys: Vec<_> = restore_keys.iter().map(|&key| key.to_owned()).collect();
    let found = store.look_up(key, &restore_keys, NEVER).unwrap();
    found.map(|found| format!("{} in {}", found.key, found.scope))
}

pub(super) fn read(store: &DirStore, found: &Found) -> Result<Vec<u8>, StoreError> {
    let source = store.open(found, NEVER)?;
    let length = usize::try_from(source.total()).unwrap();
    Ok(source.read_range(0, length).unwrap())
}

fn found(key: &str) -> Found {
    Found {
        key: key.to_owned(),
        scope: "local".to_owned(),
    }
}

fn keys(store: &DirStore) -> Vec<String> {
    let entries = store.entries().unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

pub(super) fn unfinished(directory: &Path) -> usize {
    let directory = Layout::below(directory).unfinished();
    fs_err::read_dir(directory).map_or(0, Iterator::count)
}

#[test]
fn what_was_stored_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    let mut upload = granted(store.begin("key", NEVER));
    upload.write_all(b"hot".to_vec()).unwrap();
    upload.write_all(b"crate".to_vec()).unwrap();
    assert_eq!(look_up(&store, "key", &[]), None);
    assert!(upload.finish().unwrap());

    let found = store.look_up("key", &[], NEVER).unwrap().unwrap();
    let source = store.open(&found, NEVER).unwrap();
    assert_eq!(source.total(), 8);
    assert_eq!(source.read_range(3, 5).unwrap(), b"crate");
    assert_eq!(source.read_range(8, 0).unwrap(), b"");
    assert!(source.read_range(4, 5).is_err());
    assert!(source.read_range(u64::MAX, usize::MAX).is_err());
    assert_eq!(unfinished(directory.path()), 0);
    assert!(directory.path().join("store-v1/CACHEDIR.TAG").exists());
}

#[test]
fn an_exact_name_comes_before_a_newer_prefix_and_a_prefix_before_restore_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    for (stored_at, key) in ["a-b", "a-b-c-old", "a-b-c-new", "a-x"]
        .into_iter()
        .enumerate()
    {
        let stored_at = i64::try_from(stored_at).unwrap();
        set_times(&save(&store, key, b"1"), 0, stored_at);
    }
    let answer = |key, restore_keys: &[_]| look_up(&store, key, restore_keys).unwrap_or_default();
    assert_eq!(answer("a-b", &[]), "a-b in local");
    assert_eq!(answer("a-b-", &[]), "a-b-c-new in local");
    assert_eq!(answer("a-b-c", &["a-x"]), "a-b-c-new in local");
    assert_eq!(answer("a-y", &["a-b-c", "a-"]), "a-b-c-new in local");
    assert_eq!(answer("a-y", &["b-", "a-"]), "a-x in local");
    assert_eq!(answer("a-y", &["b-"]), "");
}

#[test]
fn the_entry_finished_last_is_the_newest_whichever_was_written_last() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    // Were the clock too coarse to tell, the name would decide, and decide against it.
    let [mut last, mut first] = ["a-1", "a-2"].map(|key| granted(store.begin(key, NEVER)));
    last.write_all(b"1".to_vec()).unwrap();
    first.write_all(b"1".to_vec()).unwrap();
    assert!(first.finish().unwrap());
    assert!(last.finish().unwrap());
    assert_eq!(look_up(&store, "a-", &[]).unwrap(), "a-1 in local");
}

#[test]
fn an_entry_that_a_job_would_store_again_becomes_the_newest() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    set_times(&save(&store, "deps-rich", b"1"), 1, 1);
    set_times(&save(&store, "deps-poor", b"2"), 2, 2);
    assert_eq!(
        look_up(&store, "deps-", &[]).as_deref(),
        Some("deps-poor in local")
    );
    let answer = store.begin("deps-rich", NEVER).unwrap();
    assert!(matches!(answer, Reservation::Taken));
    assert_eq!(
        look_up(&store, "deps-", &[]).as_deref(),
        Some("deps-rich in local")
    );
}

#[test]
fn entries_stored_at_the_same_time_are_told_apart_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    for key in ["a-2", "a-3", "a-1"] {
        set_times(&save(&store, key, b"1"), 0, 7);
    }
    assert_eq!(look_up(&store, "a-", &[]).unwrap(), "a-3 in local");
}

#[test]
fn a_scope_is_asked_for_everything_before_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let open = |scopes| {
        Setting {
            scopes,
            ..Setting::in_directory(directory.path())
        }
        .open()
    };
    let of_branch = |branch| open(Scopes::of_run(Some(branch), None, Some("main")));
    let main = of_branch("refs/heads/main");
    let feature = of_branch("refs/heads/feature");
    let other = of_branch("refs/heads/other");
    let local = open(Scopes::local());

    save(&local, "a-1", b"1");
    assert_eq!(look_up(&feature, "a-1", &["a-"]).unwrap(), "a-1 in local");
    save(&main, "a-2", b"1");
    assert_eq!(
        look_up(&feature, "a-1", &["a-"]).unwrap(),
        "a-2 in refs/heads/main"
    );
    save(&feature, "a-3", b"1");
    assert_eq!(
        look_up(&feature, "a-1", &["a-"]).unwrap(),
        "a-3 in refs/heads/feature"
    );

    assert_eq!(look_up(&other, "a-3", &[]), None);
    assert_eq!(look_up(&main, "a-3", &[]), None);
    assert_eq!(look_up(&local, "a-", &[]).unwrap(), "a-1 in local");
    save(&other, "a-3", b"another scope's key is free");
}

#[test]
fn projects_and_scopes_of_any_name_do_not_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let open = |project, branch: &str| {
        Setting {
            project,
            scopes: Scopes::new(Scope::branch(branch), []),
            ..Setting::in_directory(directory.path())
        }
        .open()
    };
    let long = "x".repeat(300);
    let stores = [
        open("it", "main"),
        open("it", "Main"),
        open("it", "../main"),
        open("it", &long),
        open("it", &format!("{long}x")),
        open("that", "main"),
    ];
    for store in &stores {
        assert_eq!(look_up(store, "key", &[]), None);
        save(store, "key", b"1");
    }
    let entries = stores[0].entries().unwrap();
    assert_eq!(entries.len(), stores.len());
    assert!(
        entries
            .iter()
            .any(|entry| entry.scope.is("refs/heads/../main"))
    );
}

#[test]
fn a_peek_is_no_use() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    set_times(&save(&store, "a-old", b"1"), 10, 10);
    set_times(&save(&store, "a-new", b"1"), 20, 20);
    let found = store.peek("a-", NEVER).unwrap();
    assert_eq!(found.unwrap().key, "a-new");
    let entries = store.entries().unwrap();
    assert!(
        entries
            .iter()
            .all(|entry| entry.used_at == entry.created_at)
    );
}

#[test]
fn a_deadline_that_passed_ends_everything_that_can_take_long() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    save(&store, "key", b"1");
    let passed = Deadline::after(Duration::ZERO, "restore-timeout");
    let time_up = |error: StoreError| matches!(error, StoreError::TimeUp(_));
    assert!(store.look_up("key", &[], passed).is_err_and(time_up));
    let source = store.open(&found("key"), passed).unwrap();
    assert!(source.read_range(0, 1).is_err());
    let mut upload = granted(store.begin("other", passed));
    assert!(upload.write_all(vec![1]).is_err());
    drop(upload);
    assert_eq!(unfinished(directory.path()), 0);
}

#[test]
fn a_lookup_is_a_use_and_changes_nothing_about_which_entry_is_newest() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    set_times(&save(&store, "a-old", b"1"), 10, 10);
    set_times(&save(&store, "a-new", b"1"), 20, 20);
    assert!(look_up(&store, "a-old", &[]).is_some());

    let entries = store.entries().unwrap();
    let [new, old] = entries.as_slice() else {
        panic!("there are two entries: {entries:?}");
    };
    assert_eq!(old.created_at, UNIX_EPOCH + Duration::from_secs(10));
    assert!(old.used_at > new.used_at);
    assert_eq!(look_up(&store, "a-", &[]).unwrap(), "a-new in local");
}

#[test]
fn the_least_recently_used_entry_of_any_project_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let it = Setting::in_directory(directory.path()).open();
    let that = Setting {
        project: "that",
        scopes: Scopes::new(Scope::branch("main"), []),
        ..Setting::in_directory(directory.path())
    }
    .open();
    set_times(&save(&it, "stored-first-used-last", &[0; 400]), 30, 1);
    let first = save(&that, "unused", &[0; 400]);
    set_times(&first, 10, 2);
    save(&it, "third", &[0; 600]);
    assert_eq!(keys(&it), ["stored-first-used-last", "third"]);
    let project_directory = first.parent().and_then(Path::parent).unwrap();
    assert!(!project_directory.exists(), "it was left empty");
    assert_eq!(look_up(&that, "unused", &[]), None);
    save(&that, "unused", b"and the directory comes back");
}

#[test]
fn the_entry_just_stored_stays_even_if_everything_else_has_to_go() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    for (key, used_at) in [("a", i64::MAX / 4), ("b", 1), ("c", i64::MAX / 4)] {
        set_times(&save(&store, key, &[0; 300]), used_at.min(1 << 33), 1);
    }
    save(&store, "d", &[0; 1000]);
    assert_eq!(keys(&store), ["d"]);
}

#[test]
fn an_entry_larger_than_the_store_is_refused_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    save(&store, "small", b"1");
    let mut upload = granted(store.begin("large", NEVER));
    upload.write_all(vec![0; 1000]).unwrap();
    let error = upload.write_all(vec![0]).unwrap_err();
    insta::assert_snapshot!(error, @"the entry needs more than the store's limit of 1000 bytes");
    assert_eq!(unfinished(directory.path()), 0);
    assert!(matches!(
        upload.finish(),
        Err(StoreError::Incomplete { .. })
    ));
    assert_eq!(keys(&store), ["small"]);
}

#[test]
fn an_abandoned_upload_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    let mut upload = granted(store.begin("key", NEVER));
    upload.write_all(vec![0; 10]).unwrap();
    assert_eq!(unfinished(directory.path()), 1);
    drop(upload);
    assert_eq!(unfinished(directory.path()), 0);
    assert_eq!(look_up(&store, "key", &[]), None);
}

#[test]
fn of_two_uploads_of_a_key_the_first_to_finish_stays() {
    let directory = tempfile::tempdir().unwrap();
    let [one, other] = [(); 2].map(|()| Setting::in_directory(directory.path()).open());
    let mut first = granted(one.begin("key", NEVER));
    let mut second = granted(other.begin("key", NEVER));
    second.write_all(b"second".to_vec()).unwrap();
    first.write_all(b"first".to_vec()).unwrap();
    assert!(second.finish().unwrap());
    assert!(!first.finish().unwrap());
    assert_eq!(read(&one, &found("key")).unwrap(), b"second");
    assert_eq!(unfinished(directory.path()), 0);
    assert!(matches!(
        one.begin("key", NEVER).unwrap(),
        Reservation::Taken
    ));
}

#[test]
fn opening_clears_away_what_nobody_writes_any_more_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    let mut upload = granted(store.begin("alive", NEVER));
    let aside = store.layout.unfinished();
    fs_err::write(aside.join("dead.x.part"), "half an entry").unwrap();
    fs_err::write(aside.join("stranger"), "not ours").unwrap();
    assert_eq!(unfinished(directory.path()), 3);

    Setting::in_directory(directory.path()).open();
    assert_eq!(unfinished(directory.path()), 2);
    assert!(aside.join("stranger").exists());
    upload.write_all(b"1".to_vec()).unwrap();
    assert!(upload.finish().unwrap());
    assert_eq!(keys(&store), ["alive"]);
}

#[test]
fn an_entry_evicted_after_the_lookup_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    fs_err::remove_file(save(&store, "key", b"1")).unwrap();
    let error = read(&store, &found("key")).unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn an_open_entry_is_read_to_its_end_while_it_is_evicted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    set_times(&save(&store, "key", &[7; 600]), 1, 1);
    let source = store.open(&found("key"), NEVER).unwrap();
    save(&store, "other", &[0; 600]);
    assert_eq!(keys(&store), ["other"]);
    assert_eq!(source.read_range(0, 600).unwrap(), [7; 600]);
}

#[test]
fn entries_are_listed_and_removed_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    assert_eq!(store.entries().unwrap(), []);
    save(&store, "a", b"123");
    save(&store, "b", b"1");
    let entries = store.entries().unwrap();
    assert_eq!(entries[0].bytes, 3);
    assert!(entries[0].project.is(store.options.project.as_str()));
    assert_eq!(entries[0].scope.to_string(), "local");

    assert!(store.remove(&entries[0]).unwrap());
    assert!(!store.remove(&entries[0]).unwrap());
    assert_eq!(keys(&store), ["b"]);
    assert!(store.remove(&entries[1]).unwrap());
    assert!(!store.remove(&entries[1]).unwrap());
}

#[test]
fn what_is_not_named_like_an_entry_is_neither_counted_nor_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    let entry = save(&store, "a", &[0; 600]);
    let strangers = [
        entry.with_file_name("notes"),
        entry.with_file_name("entry-B"),
        store.layout.entries().join("README"),
        store.layout.base().join("README"),
    ];
    for stranger in &strangers {
        fs_err::write(stranger, [0; 600]).unwrap();
    }
    fs_err::create_dir(entry.with_file_name("entry-directory")).unwrap();
    save(&store, "b", &[0; 600]);
    assert_eq!(keys(&store), ["b"]);
    assert_eq!(look_up(&store, "directory", &[]), None);
    assert!(strangers.iter().all(|stranger| stranger.exists()));
}

#[rstest]
#[case("../key")]
#[case("Key")]
#[case("")]
fn what_is_no_key_is_refused_at_every_door(#[case] key: &str) {
    let directory = tempfile::tempdir().unwrap();
    let store = Setting::in_directory(directory.path()).open();
    let invalid = |error| matches!(error, StoreError::InvalidKey { .. });
    assert!(store.look_up(key, &[], NEVER).is_err_and(invalid));
    assert!(
        store
            .look_up(DEPS, &[key.to_owned()], NEVER)
            .is_err_and(invalid)
    );
    assert!(read(&store, &found(key)).is_err_and(invalid));
    assert!(store.begin(key, NEVER).is_err_and(invalid));
}

#[test]
fn a_lock_that_another_process_does_not_release_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Setting::in_directory(directory.path()).open();
    store.options.lock_wait = Duration::ZERO;
    save(&store, "before", b"1");
    let entry = store.entries().unwrap().remove(0);
    let upload = granted(store.begin("key", NEVER));
    let lock = StoreLock::acquire(&store.layout.lock(), Duration::ZERO).unwrap();

    let locked = |error| matches!(error, StoreError::Locked { .. });
    assert!(store.begin("other", NEVER).is_err_and(locked));
    assert!(store.remove(&entry).is_err_and(locked));
    assert!(upload.finish().is_err_and(locked));
    assert_eq!(look_up(&store, "before", &[]).unwrap(), "before in local");
    drop(lock);
    assert_eq!(keys(&store), ["before"]);
    assert_eq!(unfinished(directory.path()), 0);
}

#[test]
fn a_file_in_the_way_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs_err::write(&file, "").unwrap();
    let error = Setting::in_directory(&file).try_open().unwrap_err();
    assert!(error.to_string().contains("file as a store"), "{error}");

    let store = Setting::in_directory(directory.path()).open();
    fs_err::create_dir(directory.path().join("store-v1")).unwrap();
    fs_err::write(directory.path().join("store-v1/tmp"), "").unwrap();
    let error = store.begin("key", NEVER).err().unwrap();
    assert!(matches!(error, StoreError::File { .. }), "{error}");
}

/// A small file system of its own, where the system lets us mount one.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = mount(
            "mount",
            &["-t", "tmpfs", "-o", "size=256k", "tmpfs"],
            directory.path(),
        );
        if !mounted {
            eprintln!("SKIPPED: this test needs to mount a tmpfs, which takes Linux and root");
        }
        mounted.then_some(Self(directory))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        mount("umount", &[], self.0.path());
    }
}

fn mount(program: &str, arguments: &[&str], directory: &Path) -> bool {
    let status = user_command(program.as_ref())
        .args(arguments)
        .arg(directory)
        .stderr(std::process::Stdio::null())
        .status();
    cfg!(target_os = "linux") && status.is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_is_an_error_of_its_own_and_leaves_nothing() {
    let Some(disk) = Tmpfs::mount() else { return };
    let store = Setting {
        max_bytes: 1 << 30,
        ..Setting::in_directory(disk.0.path())
    }
    .open();
    save(&store, "before", &[7; 1000]);
    let mut upload = granted(store.begin("large", NEVER));
    let error = upload.write_all(vec![0; 1 << 20]).unwrap_err();
    let error = error.downcast::<StoreError>().unwrap();
    assert!(matches!(*error, StoreError::NoSpace { .. }), "{error}");
    assert_eq!(unfinished(disk.0.path()), 0);
    assert!(matches!(
        upload.finish(),
        Err(StoreError::Incomplete { .. })
    ));
    assert_eq!(read(&store, &found("before")).unwrap(), [7; 1000]);
    save(&store, "after", &[0; 1000]);
}

#[test]
fn a_read_only_store_answers_and_takes_nothing() {
    let Some(disk) = Tmpfs::mount() else { return };
    let store = Setting::in_directory(disk.0.path()).open();
    save(&store, "key", b"1");
    fs_err::write(store.layout.unfinished().join("dead.x.part"), "").unwrap();
    assert!(mount("mount", &["-o", "remount,ro"], disk.0.path()));

    let store = Setting::in_directory(disk.0.path()).open();
    assert_eq!(look_up(&store, "key", &[]).unwrap(), "key in local");
    assert_eq!(read(&store, &found("key")).unwrap(), b"1");
    let read_only = |error| matches!(error, StoreError::ReadOnly { .. });
    assert!(store.begin("other", NEVER).is_err_and(read_only));
    assert!(
        store
            .remove(&store.entries().unwrap()[0])
            .is_err_and(read_only)
    );
}
