//! Where everything will lie in the tar stream, decided before a byte of content is read.
//!
//! Sizes are taken from the file system once; from them follow the offsets of all members and the borders of all
//! frames, so that frames can be read and compressed independently of each other. A file that is no longer what it
//! was when its frame is read ends the packing.

use std::{
    collections::HashMap,
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rayon::prelude::*;

use super::{
    Compression, Group, Member,
    check::{check_tree, symlink_refusal},
    codec::{compression_for, parameters},
    error::PackError,
    format::{MAX_MEMBERS, MAX_NAME},
    header::{END_OF_ARCHIVE, data_length, write_headers},
    index::{Content, IndexMember},
};

/// The tar stream of an archive to be.
pub(super) struct Layout<'a> {
    /// What goes into the index.
    pub(super) members: Vec<IndexMember>,
    /// What the packer needs to know of each member besides.
    pub(super) sources: Vec<Source<'a>>,
    /// The frames, which cover the whole stream.
    pub(super) frames: Vec<FramePlan>,
}

/// Where a member comes from.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    /// Where its headers start in the tar stream.
    pub(super) start: u64,
    pub(super) identity: Identity,
}

/// One frame: the bytes of the tar stream from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FramePlan {
    pub(super) start: u64,
    pub(super) end: u64,
    /// The first member of which anything lies in this frame.
    pub(super) first_member: usize,
    pub(super) compression: Compression,
}

/// What must stay the same of a file while it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    size: u64,
    modified: SystemTime,
    inode: Option<(u64, u64)>,
}

impl Identity {
    /// Takes the identity from `metadata`. Fails where the platform keeps no modification times.
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        Ok(Self {
            size: metadata.len(),
            modified: metadata.modified()?,
            inode: inode(metadata),
        })
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "not every platform has inodes")]
fn inode(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(unix)]
fn may_have_other_names(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.nlink() > 1
}

#[cfg(not(unix))]
fn may_have_other_names(_metadata: &Metadata) -> bool {
    false
}

/// The permissions to record.
#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode(metadata: &Metadata) -> u32 {
    if metadata.is_dir() { 0o755 } else { 0o644 }
}

/// Lays out all members of `groups`, in their order.
pub(super) fn lay_out(groups: &[Group]) -> Result<Layout<'_>, PackError> {
    let count: u64 = groups.iter().map(|group| group.members.len() as u64).sum();
    if count > MAX_MEMBERS {
        return Err(PackError::TooLarge {
            what: "the number of members",
            size: count,
            limit: MAX_MEMBERS,
        });
    }
    let flat: Vec<_> = groups
        .iter()
        .flat_map(|group| {
            group
                .members
                .iter()
                .map(|member| (member, group.compression))
        })
        .collect();
    let seen = flat
        .par_iter()
        .map(|(member, _)| look_at(member))
        .collect::<Result<Vec<_>, _>>()?;

    let mut layout = Layout {
        members: Vec::with_capacity(flat.len()),
        sources: Vec::with_capacity(flat.len()),
        frames: Vec::new(),
    };
    let mut planner = FramePlanner::default();
    let mut by_inode = HashMap::new();
    let mut headers = Vec::new();
    for ((member, compression), seen) in flat.into_iter().zip(seen) {
        let number = layout.members.len();
        let mut content = seen.content;
        if seen.may_have_other_names
            && let Some(inode) = seen.identity.inode
        {
            match by_inode.get(&inode) {
                Some(&to) => content = Content::HardLink { to },
                None => {
                    by_inode.insert(inode, number);
                }
            }
        }
        let mut record = IndexMember {
            name: member.name.clone(),
            mode: seen.mode,
            modified: seen.identity.modified,
            content,
        };
        headers.clear();
        write_headers(&mut headers, &record, linked_name(&layout.members, &record));
        let start = planner.position;
        let data = start + headers.len() as u64;
        if let Content::File { offset, .. } = &mut record.content {
            *offset = data;
        }
        let data_length = data_length(&record.content);
        let compression = compression_for(data_length, compression);
        planner.add(number, compression, headers.len() as u64, data_length);
        layout.members.push(record);
        layout.sources.push(Source {
            path: &member.source,
            start,
            identity: seen.identity,
        });
    }
    check_tree(&layout.members).map_err(|refusal| PackError::Refused {
        member: refusal.member.to_string(),
        reason: refusal.reason,
    })?;
    layout.frames = planner.finish(layout.members.len());
    Ok(layout)
}

/// The name of the member that `record` is a hard link to.
pub(super) fn linked_name<'a>(members: &'a [IndexMember], record: &IndexMember) -> Option<&'a str> {
    match record.content {
        Content::HardLink { to } => members.get(to).map(|member| member.name.as_str()),
        _ => None,
    }
}

/// What the file system says of a member.
struct Seen {
    content: Content,
    mode: u32,
    identity: Identity,
    may_have_other_names: bool,
}

fn look_at(member: &Member) -> Result<Seen, PackError> {
    let path = &member.source;
    let metadata =
        fs_err::symlink_metadata(path).map_err(|source| read_failure("look at", path, source))?;
    let refused = |reason| PackError::Refused {
        member: member.name.to_string(),
        reason,
    };
    if member.name.as_str().len() > MAX_NAME {
        return Err(refused("its name is too long"));
    }
    let kind = metadata.file_type();
    let content = if kind.is_dir() {
        Content::Directory
    } else if kind.is_file() {
        // The offset is not known before everything in front of it is laid out.
        Content::File {
            offset: 0,
            size: metadata.len(),
        }
    } else if kind.is_symlink() {
        let target = fs_err::read_link(path)
            .map_err(|source| read_failure("read the link", path, source))?;
        let target = native_target(&target)
            .ok_or_else(|| refused("it is a symlink to a name that is not UTF-8"))?;
        // How many parts the root's name has is not known here; one at least.
        let depth = member.name.parts().count().saturating_sub(2);
        if let Some(reason) = symlink_refusal(depth, &target) {
            return Err(refused(reason));
        }
        if target.len() > MAX_NAME {
            return Err(refused("it is a symlink to a name that is too long"));
        }
        Content::Symlink { target }
    } else {
        return Err(PackError::Special { path: path.clone() });
    };
    if content != Content::Directory && member.name.parent().is_none() {
        return Err(refused("it has the name of a root and is not a directory"));
    }
    Ok(Seen {
        mode: mode(&metadata),
        may_have_other_names: kind.is_file() && may_have_other_names(&metadata),
        identity: Identity::of(&metadata).map_err(|source| PackError::File {
            step: "look at",
            path: path.clone(),
            source,
        })?,
        content,
    })
}

/// A symlink's target with `/` between the parts, if it is UTF-8.
fn native_target(target: &Path) -> Option<String> {
    let target = target.to_str()?;
    Some(if cfg!(windows) {
        target.replace('\\', "/")
    } else {
        target.to_owned()
    })
}

/// Words a failure to read something that was there when the caller listed it.
pub(super) fn read_failure(step: &'static str, path: &Path, source: io::Error) -> PackError {
    let path = PathBuf::from(path);
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => PackError::Changed { path },
        _ => PackError::File { step, path, source },
    }
}

/// Cuts the tar stream into frames.
///
/// A frame ends between two members, or within the content of one that would make it too large; never within
/// headers, and where the compression changes.
#[derive(Default)]
struct FramePlanner {
    frames: Vec<FramePlan>,
    open: Option<FramePlan>,
    position: u64,
}

impl FramePlanner {
    fn add(&mut self, member: usize, compression: Compression, headers: u64, mut data: u64) {
        let target = parameters(compression).frame_bytes;
        if self
            .open
            .is_some_and(|open| open.compression != compression)
        {
            self.close();
        }
        self.extend(member, compression, headers);
        while self.open_length() + data > target {
            let piece = target.saturating_sub(self.open_length());
            self.extend(member, compression, piece);
            self.close();
            data -= piece;
        }
        self.extend(member, compression, data);
        if self.open_length() >= target {
            self.close();
        }
    }

    /// Adds the end of the archive, behind the last of `members` members.
    fn finish(mut self, members: usize) -> Vec<FramePlan> {
        let compression = self
            .open
            .or(self.frames.last().copied())
            .map_or(Compression::Normal, |frame| frame.compression);
        self.extend(members, compression, END_OF_ARCHIVE);
        self.close();
        self.frames
    }

    fn open_length(&self) -> u64 {
        self.open.map_or(0, |open| open.end - open.start)
    }

    fn extend(&mut self, member: usize, compression: Compression, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.position += bytes;
        let open = self.open.get_or_insert(FramePlan {
            start: self.position - bytes,
            end: 0,
            first_member: member,
            compression,
        });
        open.end = self.position;
    }

    fn close(&mut self) {
        self.frames.extend(self.open.take());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::format::MAX_FRAME_RAW;

    const MIB: u64 = 1 << 20;

    fn planned(members: &[(Compression, u64)]) -> Vec<FramePlan> {
        let mut planner = FramePlanner::default();
        for (number, (compression, data)) in members.iter().enumerate() {
            planner.add(number, *compression, 512, *data);
        }
        planner.finish(members.len())
    }

    fn compressions() -> impl Strategy<Value = Compression> {
        prop_oneof![
            Just(Compression::Normal),
            Just(Compression::LongWindow),
            Just(Compression::Stored)
        ]
    }

    proptest! {
        #[test]
        fn frames_cover_the_whole_stream_and_none_is_too_large(
            members in proptest::collection::vec((compressions(), 0..300_000_u64), 0..60)
        ) {
            let members: Vec<_> = members.into_iter().map(|(compression, blocks)| (compression, blocks * 512)).collect();
            let frames = planned(&members);
            let total: u64 = members.iter().map(|(_, data)| 512 + data).sum();
            let mut position = 0;
            for frame in &frames {
                prop_assert_eq!(frame.start, position);
                prop_assert!(frame.end > frame.start);
                prop_assert!(frame.end - frame.start <= MAX_FRAME_RAW);
                position = frame.end;
            }
            prop_assert_eq!(position, total + END_OF_ARCHIVE);
        }
    }

    #[test]
    fn small_members_share_a_frame_and_large_ones_are_cut() {
        let large = planned(&[(Compression::Normal, MIB), (Compression::Normal, 100 * MIB)]);
        let target = parameters(Compression::Normal).frame_bytes;
        assert_eq!(large[0].end, target);
        assert_eq!(large[0].first_member, 0);
        assert!(large[1..].iter().all(|frame| frame.first_member == 1));
        assert_eq!(planned(&[(Compression::Normal, MIB); 5]).len(), 1);
    }

    #[test]
    fn what_is_compressed_differently_shares_no_frame() {
        let frames = planned(&[(Compression::Normal, MIB), (Compression::Stored, MIB)]);
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].compression, Compression::Stored);
        assert_eq!(frames[1].first_member, 1);
    }
}
