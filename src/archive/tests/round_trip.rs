//! What was packed comes back as it was.

#[cfg(unix)]
use proptest::prelude::*;

use super::*;
#[cfg(unix)]
use crate::archive::Kind;
use crate::archive::UNPACKED_ATIME;

#[cfg(unix)]
#[test]
fn one_of_everything_comes_back_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(from.path());
    let groups = [group(Compression::Normal, members("target", from.path()))];
    let (bytes, packed) = pack_with(ByteBudget::DEFAULT_BYTES, &groups).unwrap();
    let before = describe(from.path());

    let source = Bytes::new(bytes);
    let archive = open(&source).unwrap();
    assert_eq!(archive.facts(), FACTS);
    assert_eq!(archive.digest(), packed.digest);
    assert_eq!(archive.raw_bytes(), packed.volume.raw_bytes);
    assert_eq!(packed.volume.packed_bytes, source.total());
    let volume = unpack_with(1 << 30, &source, &[("target", to.path())], &|_| true).unwrap();
    assert_eq!(volume.members, packed.volume.members);
    assert_eq!(volume.raw_bytes, packed.volume.raw_bytes);
    assert_eq!(describe(to.path()), before);
}

#[cfg(unix)]
#[test]
fn members_are_listed_with_what_they_are() {
    let from = tempfile::tempdir().unwrap();
    sample(from.path());
    let bytes = pack_all(&[group(Compression::Stored, members("t", from.path()))]);
    let archive = open(&Bytes::new(bytes)).unwrap();
    let listed: Vec<_> = archive
        .members()
        .map(|member| match member.kind {
            Kind::File => format!("{} {}", member.name, member.size),
            Kind::HardLink(to) => format!("{} = {to} {}", member.name, member.size),
            Kind::Symlink(target) => format!("{} -> {target}", member.name),
            Kind::Directory => format!("{}/", member.name),
        })
        .collect();
    insta::assert_snapshot!(listed.join("\n"), @r"
    t/
    t/dangling -> nowhere
    t/debug/
    t/debug/build/
    t/debug/build/link -> ../deps/liba.rlib
    t/debug/build/script 9
    t/debug/deps/
    t/debug/deps/empty/
    t/debug/deps/liba.rlib 100000
    t/debug/deps/stderr 0
    t/debug/deps/ü 9
    t/debug/liba.rlib = t/debug/deps/liba.rlib 100000
    ");
}

#[test]
fn an_archive_of_nothing_is_an_archive() {
    let bytes = pack_all(&[]);
    assert_eq!(unpack_all(bytes, &[]).unwrap(), Volume::default());
}

#[test]
fn a_file_that_spans_frames_comes_back_among_small_ones() {
    let from = tempfile::tempdir().unwrap();
    let large: Vec<u8> = noise(1 << 20).repeat(70);
    fs_err::write(from.path().join("b"), &large[..large.len() - 7]).unwrap();
    for name in ["a", "c", "d"] {
        fs_err::write(from.path().join(name), name).unwrap();
    }
    let mut groups: Vec<_> = [
        Compression::Normal,
        Compression::LongWindow,
        Compression::Stored,
    ]
    .into_iter()
    .zip(["x", "y", "z"])
    .map(|(compression, root)| group(compression, members(root, from.path())))
    .collect();
    // A hard link in another root is one file there as well, unless told apart.
    groups.truncate(if cfg!(unix) { 1 } else { 3 });
    let bytes = pack_all(&groups);
    let to: Vec<_> = groups
        .iter()
        .map(|group| (group.members[0].name.as_str(), tempfile::tempdir().unwrap()))
        .collect();
    let roots: Vec<_> = to.iter().map(|(root, to)| (*root, to.path())).collect();
    unpack_all(bytes, &roots).unwrap();
    for (_, to) in &to {
        assert_eq!(describe(to.path()), describe(from.path()));
    }
}

#[test]
fn a_part_is_unpacked_without_fetching_the_rest() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["a", "b", "c", "d"] {
        fs_err::write(from.path().join(name), noise(24 << 20)).unwrap();
    }
    let groups = [group(Compression::Stored, members("r", from.path()))];
    let source = Bytes::new(pack_all(&groups));
    let archive = open(&source).unwrap();
    source.read.lock().unwrap().clear();
    let select = |name: &RelativePath| name.as_str() == "r/c";
    let to_root = [("r", to.path())];
    let volume = unpack_opened(&archive, 1 << 30, &source, &to_root, &select).unwrap();
    assert_eq!(volume.members, 1);
    let fetched: usize = source
        .read
        .lock()
        .unwrap()
        .iter()
        .map(|(_, length)| length)
        .sum();
    assert!(fetched < 70 << 20, "{fetched} of {}", source.total());
    let there: Vec<_> = describe(to.path()).into_keys().collect();
    assert_eq!(there, ["", "c"]);
    assert_eq!(fs_err::read(to.path().join("c")).unwrap(), noise(24 << 20));
}

#[cfg(unix)]
#[test]
fn a_hard_link_is_unpacked_without_the_file_that_it_was_packed_behind() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(from.path());
    let source = Bytes::new(pack_all(&[group(
        Compression::Normal,
        members("t", from.path()),
    )]));
    let select = |name: &RelativePath| name.as_str() == "t/debug/liba.rlib";
    unpack_with(1 << 30, &source, &[("t", to.path())], &select).unwrap();
    let unpacked = fs_err::read(to.path().join("debug/liba.rlib")).unwrap();
    assert_eq!(unpacked, noise(100_000));
    assert!(!to.path().join("debug/deps").exists());
}

#[test]
fn each_member_goes_to_the_root_with_the_longest_name() {
    let from = tempfile::tempdir().unwrap();
    let (outer, inner) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs_err::write(from.path().join("file"), "content").unwrap();
    let both = [
        group(Compression::Normal, members("a", from.path())),
        group(Compression::Normal, members("a/b", from.path())),
    ];
    unpack_all(
        pack_all(&both),
        &[("a", outer.path()), ("a/b", inner.path())],
    )
    .unwrap();
    for directory in [&outer, &inner] {
        let there: Vec<_> = describe(directory.path()).into_keys().collect();
        assert_eq!(there, ["", "file"]);
    }
}

#[test]
fn an_unpacked_file_has_an_access_time_that_shows_later_reading() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs_err::write(from.path().join("file"), "content").unwrap();
    let bytes = pack_all(&[group(Compression::Normal, members("r", from.path()))]);
    unpack_all(bytes, &[("r", to.path())]).unwrap();
    let metadata = fs_err::metadata(to.path().join("file")).unwrap();
    assert_eq!(metadata.accessed().unwrap(), UNPACKED_ATIME);
}

#[cfg(target_os = "linux")]
#[test]
fn packing_does_not_count_as_reading() {
    let from = tempfile::tempdir().unwrap();
    let path = from.path().join("file");
    fs_err::write(&path, "content").unwrap();
    let file = fs_err::File::options().write(true).open(&path).unwrap();
    file.set_times(std::fs::FileTimes::new().set_accessed(UNPACKED_ATIME))
        .unwrap();
    drop(file);
    pack_all(&[group(Compression::Normal, members("r", from.path()))]);
    let accessed = fs_err::metadata(&path).unwrap().accessed().unwrap();
    assert_eq!(accessed, UNPACKED_ATIME);
}

#[cfg(unix)]
#[derive(Clone, Debug)]
enum Entry {
    File { content: Vec<u8>, mode: u32 },
    HardLink,
    Symlink,
    Directory,
}

#[cfg(unix)]
fn entries() -> impl Strategy<Value = Vec<(Vec<String>, Entry, u32, u32)>> {
    let content = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..600),
        1 => (1000..200_000_usize).prop_map(noise),
    ];
    let entry = prop_oneof![
        6 => (content, 0..0o1000_u32).prop_map(|(content, mode)| Entry::File { content, mode: mode | 0o600 }),
        1 => Just(Entry::HardLink),
        1 => Just(Entry::Symlink),
        1 => Just(Entry::Directory),
    ];
    let path = proptest::collection::vec("[a-c]|[ä-ö_.-]{2,60}|long{30,50}", 1..4).prop_filter(
        "dots lead elsewhere",
        |parts| {
            parts
                .iter()
                .all(|part| !matches!(part.as_str(), "." | ".."))
        },
    );
    proptest::collection::vec(
        (path, entry, 0..4_000_000_000_u32, 0..1_000_000_000_u32),
        0..40,
    )
}

/// Makes the tree, leaving out what can't be where something else is.
#[cfg(unix)]
fn build(directory: &Path, entries: &[(Vec<String>, Entry, u32, u32)]) {
    let mut a_file: Option<PathBuf> = None;
    for (parts, entry, seconds, nanos) in entries {
        let path = directory.join(parts.join("/"));
        let Some(parent) = path.parent() else {
            continue;
        };
        if fs_err::create_dir_all(parent).is_err() || fs_err::symlink_metadata(&path).is_ok() {
            continue;
        }
        match entry {
            Entry::File { content, mode } => {
                fs_err::write(&path, content).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(*mode);
                fs_err::set_permissions(&path, mode).unwrap();
                a_file = Some(path.clone());
            }
            Entry::HardLink => {
                if let Some(file) = &a_file {
                    fs_err::hard_link(file, &path).unwrap();
                }
                continue;
            }
            Entry::Symlink => fs_err::os::unix::fs::symlink("a/b", &path).unwrap(),
            Entry::Directory => fs_err::create_dir(&path).unwrap(),
        }
        set_modified(&path, u64::from(*seconds), *nanos);
    }
}

#[cfg(unix)]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_tree_comes_back_as_it_was(entries in entries()) {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        build(from.path(), &entries);
        let before = describe(from.path());
        let mut members = members("t", from.path());
        let rest = members.split_off(members.len() / 2);
        let groups = [group(Compression::Normal, members), group(Compression::LongWindow, rest)];
        let bytes = pack_all(&groups);
        unpack_all(bytes, &[("t", to.path())]).unwrap();
        prop_assert_eq!(describe(to.path()), before);
    }
}
