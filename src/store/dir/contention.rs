//! Tests with several threads and processes on one store.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
};

use super::{
    tests::{NEVER, Setting, granted, read, unfinished},
    *,
};
use crate::{environment::Environment, process::user_command};

/// Room for a few of the entries that [`use_heavily`] stores.
const MAX_BYTES: u64 = 20_000;
const ROUNDS: usize = 40;

/// An entry's content tells its key, so that a mix-up shows.
fn content(key: &str) -> Vec<u8> {
    key.bytes().cycle().take(3_000).collect()
}

fn crowded(directory: &Path) -> DirStore {
    Setting {
        max_bytes: MAX_BYTES,
        ..Setting::in_directory(directory)
    }
    .open()
}

/// Stores, looks up, reads and lists; some keys are `worker`'s own, and others everybody's.
fn use_heavily(directory: &Path, worker: &str) {
    for round in 0..ROUNDS {
        let store = crowded(directory);
        for key in [format!("key-{worker}-{round}"), format!("key-all-{round}")] {
            if let Reservation::Granted(mut upload) = store.begin(&key, NEVER).unwrap() {
                for piece in content(&key).chunks(1000) {
                    upload.write_all(piece.to_vec()).unwrap();
                }
                upload.finish().unwrap();
            }
        }
        if let Some(found) = store
            .look_up("key-all", &["key-".to_owned()], NEVER)
            .unwrap()
        {
            match read(&store, &found) {
                Ok(bytes) => assert!(bytes == content(&found.key), "{} is damaged", found.key),
                Err(error) => assert!(matches!(error, StoreError::Gone { .. }), "{error}"),
            }
        }
        store.entries().unwrap();
    }
}

fn assert_intact(directory: &Path) {
    let store = crowded(directory);
    let entries = store.entries().unwrap();
    assert!(!entries.is_empty());
    assert!(entries.iter().map(|entry| entry.bytes).sum::<u64>() <= MAX_BYTES);
    assert_eq!(unfinished(directory), 0);
    for entry in entries {
        let found = Found {
            scope: entry.scope.to_string(),
            key: entry.key,
        };
        assert!(read(&store, &found).unwrap() == content(&found.key));
    }
}

#[test]
fn threads_that_store_evict_and_look_up_at_once_agree() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::thread::scope(|scope| {
        for worker in ["a", "b", "c", "d"] {
            scope.spawn(move || use_heavily(directory, worker));
        }
    });
    assert_intact(directory);
}

/// Runs this test binary again, for the one test called `test`, on the store in `directory`.
fn spawn(test: &str, directory: &Path, worker: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    user_command(program.as_os_str())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("store::dir::contention::{test}"))
        .env("HOTCRATE_TEST_DIRECTORY", directory)
        .env("HOTCRATE_TEST_WORKER", worker)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn directory_of_parent() -> PathBuf {
    let environment = Environment::of_process();
    environment.path("HOTCRATE_TEST_DIRECTORY").unwrap()
}

#[test]
#[ignore = "run by processes_that_store_evict_and_look_up_at_once_agree"]
fn one_process_of_several() {
    let environment = Environment::of_process();
    let worker = environment.text("HOTCRATE_TEST_WORKER").unwrap();
    use_heavily(&directory_of_parent(), worker);
}

#[test]
fn processes_that_store_evict_and_look_up_at_once_agree() {
    let directory = tempfile::tempdir().unwrap();
    let children =
        ["a", "b", "c"].map(|worker| spawn("one_process_of_several", directory.path(), worker));
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("1 passed"), "{text}");
    }
    assert_intact(directory.path());
}

#[test]
#[ignore = "run and killed by a_process_killed_while_it_writes_leaves_the_old_state"]
fn a_process_to_be_killed() {
    let store = crowded(&directory_of_parent());
    let mut upload = granted(store.begin("key-killed", NEVER));
    upload.write_all(vec![0; 1000]).unwrap();
    println!("\nwritten");
    // Until the parent kills this process; should the parent die first, its end of the pipe closes.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_process_killed_while_it_writes_leaves_the_old_state() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = spawn("a_process_to_be_killed", directory.path(), "");
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap() == "written"));

    let store = crowded(directory.path());
    assert_eq!(unfinished(directory.path()), 1, "its writer is alive");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(store.look_up("key-killed", &[], NEVER).unwrap(), None);
    assert_eq!(unfinished(directory.path()), 1);

    let store = crowded(directory.path());
    assert_eq!(unfinished(directory.path()), 0);
    assert!(matches!(
        store.begin("key-killed", NEVER).unwrap(),
        Reservation::Granted(_)
    ));
}
