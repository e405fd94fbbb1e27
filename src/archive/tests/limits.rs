//! Little memory, sinks that fail, files that change.

use std::{thread, time::Duration};

use super::*;

/// Three files that take several frames.
fn large_tree(directory: &Path) -> Vec<Group> {
    for name in ["a", "b", "c"] {
        fs_err::write(directory.join(name), noise(1 << 20).repeat(21)).unwrap();
    }
    vec![group(Compression::Normal, members("r", directory))]
}

#[test]
fn a_budget_of_less_than_one_frame_is_enough() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let groups = large_tree(from.path());
    let (bytes, _) = pack_with(1 << 20, &groups).unwrap();
    unpack_with(1 << 20, &Bytes::new(bytes), &[("r", to.path())], &|_| true).unwrap();
    assert_eq!(describe(to.path()), describe(from.path()));
}

#[test]
fn transfers_that_share_a_small_budget_all_come_to_an_end() {
    let from = tempfile::tempdir().unwrap();
    let groups = large_tree(from.path());
    let expected = pack_all(&groups);
    let budget = ByteBudget::new(40 << 20);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut sink = Collected {
                    bytes: Vec::new(),
                    limit: usize::MAX,
                };
                let options = PackOptions {
                    budget: &budget,
                    threads: 2,
                    deadline: Deadline::never(),
                };
                pack(FACTS, &groups, &options, &mut sink, &Silent).unwrap();
                assert!(sink.bytes == expected);
                let to = tempfile::tempdir().unwrap();
                let source = Bytes::new(sink.bytes);
                let archive = open(&source).unwrap();
                let options = UnpackOptions {
                    budget: &budget,
                    threads: 2,
                    deadline: Deadline::never(),
                };
                let roots = roots(&[("r", to.path())]);
                unpack(&archive, &source, &roots, &|_| true, &options, &Silent).unwrap();
            });
        }
    });
}

#[test]
fn the_same_files_make_the_same_archive_whatever_the_budget() {
    let from = tempfile::tempdir().unwrap();
    let groups = large_tree(from.path());
    assert!(pack_with(1, &groups).unwrap().0 == pack_all(&groups));
}

#[test]
fn a_deadline_that_passed_ends_packing_and_unpacking() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let groups = large_tree(from.path());
    let source = Bytes::new(pack_all(&groups));
    let budget = ByteBudget::new(ByteBudget::DEFAULT_BYTES);
    let deadline = Deadline::after(Duration::ZERO, "save-timeout");
    let mut sink = Collected {
        bytes: Vec::new(),
        limit: usize::MAX,
    };
    let options = PackOptions {
        deadline,
        ..PackOptions::new(&budget)
    };
    let error = pack(FACTS, &groups, &options, &mut sink, &Silent).unwrap_err();
    assert!(matches!(error, PackError::TimeUp(_)), "{error}");

    let archive = open(&source).unwrap();
    let options = UnpackOptions {
        deadline,
        ..UnpackOptions::new(&budget)
    };
    let roots = roots(&[("r", to.path())]);
    let error = unpack(&archive, &source, &roots, &|_| true, &options, &Silent).unwrap_err();
    assert!(matches!(error, UnpackError::TimeUp(_)), "{error}");
    assert!(!crate::archive::is_damage(&error));
}

#[test]
fn a_sink_that_fails_ends_the_packing() {
    let from = tempfile::tempdir().unwrap();
    let groups = large_tree(from.path());
    let whole = pack_all(&groups).len();
    let budget = ByteBudget::new(50 << 20);
    for limit in [0, 100, whole / 2, whole - 1] {
        let mut sink = Collected {
            bytes: Vec::new(),
            limit,
        };
        let options = PackOptions {
            budget: &budget,
            threads: 3,
            deadline: Deadline::never(),
        };
        let error = pack(FACTS, &groups, &options, &mut sink, &Silent).unwrap_err();
        assert!(matches!(error, PackError::Sink(_)), "{error}");
    }
    // All memory came back: this would wait for ever otherwise.
    drop(budget.take(50 << 20));
}

#[test]
fn a_source_that_fails_ends_the_unpacking() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs_err::write(from.path().join("a"), noise(40 << 20)).unwrap();
    let groups = [group(Compression::Stored, members("r", from.path()))];
    let source = Bytes::new(pack_all(&groups));
    let archive = open(&source).unwrap();
    let gone = Bytes::new(Vec::new());
    let failure = unpack_opened(&archive, 1 << 30, &gone, &[("r", to.path())], &|_| true);
    assert!(matches!(
        failure,
        Err(Failure::Unpack(UnpackError::Read { .. }))
    ));
}

#[test]
fn a_member_that_is_not_there_is_an_error_that_names_it() {
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("gone");
    let name = relative("r/gone");
    let groups = [group(
        Compression::Normal,
        vec![Member {
            name,
            source: source.clone(),
        }],
    )];
    let error = pack_with(1 << 30, &groups).unwrap_err();
    assert!(matches!(error, PackError::Changed { path } if path == source));
}

/// Changes a file when the first bytes arrive: after sizes were taken, before all content was read.
struct Meddling<'a> {
    meddle: Option<Box<dyn FnOnce() + Send + 'a>>,
}

impl ByteSink for Meddling<'_> {
    fn write_all(&mut self, _bytes: Vec<u8>) -> Result<(), StreamError> {
        if let Some(meddle) = self.meddle.take() {
            meddle();
        }
        Ok(())
    }
}

#[rstest::rstest]
#[case::grew(|path: &Path| fs_err::write(path, "longer than it was").unwrap())]
#[case::shrank(|path: &Path| fs_err::write(path, "").unwrap())]
#[case::vanished(|path: &Path| fs_err::remove_file(path).unwrap())]
#[case::was_written_to(|path: &Path| fs_err::write(path, "CONTENT").unwrap())]
fn a_file_that_changes_while_packing_ends_it(#[case] change: fn(&Path)) {
    let from = tempfile::tempdir().unwrap();
    let path = from.path().join("file");
    fs_err::write(&path, "content").unwrap();
    set_modified(&path, 1, 1);
    let groups = [group(Compression::Normal, members("r", from.path()))];
    let budget = ByteBudget::new(1 << 30);
    let options = PackOptions::new(&budget);
    // The header facts are handed over before the first frame is begun.
    let mut sink = Meddling {
        meddle: Some(Box::new(|| change(&path))),
    };
    let error = pack(FACTS, &groups, &options, &mut sink, &Silent).unwrap_err();
    assert!(matches!(error, PackError::Changed { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn a_socket_is_an_error_that_names_it() {
    let from = tempfile::tempdir().unwrap();
    let path = from.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let groups = [group(Compression::Normal, members("r", from.path()))];
    let error = pack_with(1 << 30, &groups).unwrap_err();
    assert!(matches!(error, PackError::Special { path: named } if named == path));
}

#[cfg(unix)]
#[rstest::rstest]
#[case("/etc/passwd")]
#[case("../outside")]
#[case("inside/../../outside")]
fn a_symlink_that_unpacking_would_refuse_is_not_packed(#[case] target: &str) {
    let from = tempfile::tempdir().unwrap();
    fs_err::os::unix::fs::symlink(target, from.path().join("link")).unwrap();
    let groups = [group(Compression::Normal, members("r", from.path()))];
    let error = pack_with(1 << 30, &groups).unwrap_err();
    assert!(matches!(error, PackError::Refused { member, .. } if member == "r/link"));
}

#[test]
fn a_name_twice_is_not_packed() {
    let from = tempfile::tempdir().unwrap();
    let groups = [
        group(Compression::Normal, members("r", from.path())),
        group(Compression::Normal, members("r", from.path())),
    ];
    assert!(matches!(
        pack_with(1 << 30, &groups),
        Err(PackError::Refused { .. })
    ));
}

/// A disk that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let path = Path::new("/dev/full");
    let file = fs_err::File::options().write(true).open(path).unwrap();
    let error = crate::archive::write::write_at(&file, b"content", 0).unwrap_err();
    assert!(matches!(error, UnpackError::DiskFull { path: named, .. } if named == path));
}
