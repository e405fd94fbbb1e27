//! Archives that nobody should have made: they are refused, and nothing is written outside of the roots.

use rstest::rstest;

use super::*;
use crate::{
    archive::{
        codec::{Packer, pack_small},
        format::{FRAME_HEADER_LEN, Footer, Tag, skippable},
        index::{Content, FrameEntry, IndexWriter},
    },
    key::Digest,
};

/// Writes what the packer would not.
pub(super) struct Forgery {
    frames: Vec<Vec<u8>>,
    entries: Vec<FrameEntry>,
    members: Vec<(String, Content)>,
}

impl Forgery {
    /// One frame of 4 KiB of tar.
    pub(super) fn new() -> Self {
        Self {
            frames: Vec::new(),
            entries: Vec::new(),
            members: Vec::new(),
        }
        .frame(&[7; 4096])
    }

    pub(super) fn frame(mut self, raw: &[u8]) -> Self {
        let mut packer = Packer::new().unwrap();
        let (bytes, entry) = packer.pack(raw, Compression::Normal, |_| ()).unwrap();
        self.frames.push(bytes);
        self.entries.push(entry);
        self
    }

    pub(super) fn member(mut self, name: &str, content: Content) -> Self {
        self.members.push((name.to_owned(), content));
        self
    }

    fn index(&self) -> Vec<u8> {
        let facts = Digest::of_bytes(&pack_small(b"{}").unwrap());
        let mut writer = IndexWriter::new(&facts, &self.entries, self.members.len() as u64);
        for (name, content) in &self.members {
            writer.member(name, 0o644, UNIX_EPOCH, content);
        }
        writer.bytes
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes_with(&self.index(), None)
    }

    /// The archive with this index, which claims to be of that size.
    fn bytes_with(&self, index: &[u8], claimed: Option<u32>) -> Vec<u8> {
        let facts = pack_small(b"{}").unwrap();
        let mut bytes = skippable(Tag::Facts, &[&2_u32.to_le_bytes(), &facts]);
        bytes.extend(self.frames.concat());
        let packed = pack_small(index).unwrap();
        let footer = Footer {
            index_offset: bytes.len() as u64,
            index_packed: u32::try_from(packed.len()).unwrap(),
            index_raw: claimed.unwrap_or(u32::try_from(index.len()).unwrap()),
            digest: Digest::of_bytes(&packed),
        };
        bytes.extend(skippable(Tag::Index, &[&packed]));
        bytes.extend(footer.encode());
        bytes
    }
}

fn file(offset: u64, size: u64) -> Content {
    Content::File { offset, size }
}

pub(super) fn directory() -> Content {
    Content::Directory
}

fn symlink(target: &str) -> Content {
    Content::Symlink {
        target: target.to_owned(),
    }
}

/// Unpacks into `root` below an otherwise empty directory, checks that nothing else appeared, and returns the error.
fn refusal(bytes: Vec<u8>) -> String {
    let around = tempfile::tempdir().unwrap();
    let root = around.path().join("root");
    fs_err::create_dir(&root).unwrap();
    let failure = unpack_all(bytes, &[("r", &root)]).unwrap_err();
    assert_eq!(fs_err::read_dir(around.path()).unwrap().count(), 1);
    failure.to_string()
}

#[test]
fn what_the_forger_writes_is_read_where_nothing_is_wrong_with_it() {
    let to = tempfile::tempdir().unwrap();
    let bytes = Forgery::new()
        .member("r/a", file(512, 5))
        .member("r/b", Content::HardLink { to: 0 })
        .member("r/c", symlink("a"))
        .bytes();
    unpack_all(bytes, &[("r", to.path())]).unwrap();
    assert_eq!(fs_err::read(to.path().join("b")).unwrap(), [7; 5]);
}

#[rstest]
#[case::absolute("/etc/cron.d/evil", file(0, 1), "it is absolute")]
#[case::up("r/../../evil", file(0, 1), "it has a `..` in it")]
#[case::drive("C:/evil", file(0, 1), "separates paths on Windows")]
#[case::no_root("other/evil", file(0, 1), "it lies in no root")]
#[case::a_name_that_only_begins_like_a_root("rr/evil", file(0, 1), "it lies in no root")]
#[case::a_file_for_a_root("r", file(0, 1), "is not a directory")]
#[case::a_link_for_a_root("r", symlink("x"), "is not a directory")]
#[case::symlink_out("r/a", symlink("../evil"), "leads out of its root")]
#[case::symlink_to_absolute("r/a", symlink("/etc"), "absolute")]
#[case::symlink_down_and_up("r/a/b", symlink("c/../d"), "goes down and up")]
#[case::hard_link_to_nothing("r/a", Content::HardLink { to: 9 }, "hard link to no earlier file")]
#[case::hard_link_to_itself("r/a", Content::HardLink { to: 0 }, "hard link to no earlier file")]
#[case::uncovered("r/a", file(4000, 200), "no frame holds its content")]
#[case::huge("r/a", file(0, u64::MAX >> 2), "no frame holds its content")]
fn a_member_that_breaks_a_rule_is_refused(
    #[case] name: &str,
    #[case] content: Content,
    #[case] reason: &str,
) {
    let error = refusal(Forgery::new().member(name, content).bytes());
    assert!(error.contains(reason), "{error}");
}

#[test]
fn a_member_below_a_symlink_is_refused_wherever_it_stands() {
    for link_first in [true, false] {
        let mut members = vec![("r/link", symlink("x")), ("r/link/file", file(0, 1))];
        if !link_first {
            members.reverse();
        }
        let forgery = members
            .into_iter()
            .fold(Forgery::new(), |forgery, (name, content)| {
                forgery.member(name, content)
            });
        let error = refusal(forgery.bytes());
        assert!(error.contains("not a directory"), "{error}");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let forgery = Forgery::new()
        .member("r/a", symlink("x"))
        .member("r/a", file(0, 1));
    assert!(refusal(forgery.bytes()).contains("twice"));
}

#[test]
fn a_device_is_refused() {
    let forgery = Forgery::new().member("r/a", file(0, 1));
    let mut index = forgery.index();
    let name = index.windows(3).position(|bytes| bytes == b"r/a").unwrap();
    // Before the name stand its length and the kind.
    index[name - 2] = 4;
    let error = refusal(forgery.bytes_with(&index, None));
    assert!(error.contains("neither file nor link"), "{error}");
}

#[test]
fn content_that_overlaps_can_not_be_said() {
    // The second file starts before the first one ends: the gap between them would be negative.
    let forgery = Forgery::new()
        .member("r/a", file(0, 2000))
        .member("r/b", file(512, 512));
    assert!(open(&Bytes::new(forgery.bytes())).is_err());
}

#[test]
fn a_frame_that_becomes_more_than_it_claims_is_refused() {
    let mut forgery = Forgery::new().frame(&vec![0; 30 << 20]);
    forgery.entries[1].raw = 8192;
    let forgery = forgery.member("r/a", file(512, 10_000));
    let error = refusal(forgery.bytes());
    assert_eq!(
        error,
        "the archive is damaged: frame 1 does not decompress to its size"
    );
}

#[test]
fn a_small_frame_that_claims_to_be_huge_is_refused() {
    let mut forgery = Forgery::new();
    forgery.entries[0].raw = 64 << 20;
    assert!(refusal(forgery.member("r/a", file(0, 50 << 20)).bytes()).contains("a frame claims"));
}

#[test]
fn frames_that_do_not_fill_the_archive_are_refused() {
    let mut forgery = Forgery::new().frame(&[1; 100]);
    forgery.entries.pop();
    assert!(refusal(forgery.bytes()).contains("do not fill"));
    let mut forgery = Forgery::new();
    forgery.entries.push(forgery.entries[0]);
    assert!(refusal(forgery.bytes()).contains("do not fill"));
}

#[test]
fn an_index_that_claims_to_be_huge_or_becomes_so_is_refused() {
    let forgery = Forgery::new();
    let huge = vec![0; 200 << 20];
    let length = u32::try_from(huge.len()).unwrap();
    for claimed in [length, 1000, u32::MAX] {
        let error = refusal(forgery.bytes_with(&huge, Some(claimed)));
        assert!(error.contains("index"), "{error}");
    }
}

/// An archive with every region in it, small enough to damage it everywhere.
fn small_archive(from: &Path) -> Vec<u8> {
    for name in ["a", "b"] {
        fs_err::write(from.join(name), noise(700)).unwrap();
    }
    fs_err::write(from.join("c"), "").unwrap();
    pack_all(&[
        group(Compression::Normal, members("r", from)),
        group(Compression::Stored, members("s", from)),
    ])
}

#[test]
fn a_flipped_bit_anywhere_is_an_error_or_makes_no_difference() {
    let from = tempfile::tempdir().unwrap();
    let bytes = small_archive(from.path());
    let before = describe(from.path());
    let mut errors = 0;
    for offset in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[offset] ^= 1 << (offset % 8);
        let (r, s) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        match unpack_all(damaged, &[("r", r.path()), ("s", s.path())]) {
            Ok(_) => {
                for unpacked in [&r, &s] {
                    assert_eq!(describe(unpacked.path()), before, "at {offset}");
                }
            }
            Err(_) => errors += 1,
        }
    }
    // Only the skippable frames before the two frames are not looked at.
    assert_eq!(bytes.len() - errors, 2 * FRAME_HEADER_LEN);
}

#[test]
fn an_archive_that_is_cut_short_anywhere_is_an_error() {
    let from = tempfile::tempdir().unwrap();
    let bytes = small_archive(from.path());
    for length in 0..bytes.len() {
        assert!(
            open(&Bytes::new(bytes[..length].to_vec())).is_err(),
            "at {length}"
        );
    }
}
