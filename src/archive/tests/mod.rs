//! What the archive promises as a whole. Everything goes through memory, and through real files on both ends.

mod hostile;
mod limits;
mod opening;
mod round_trip;
#[cfg(target_os = "linux")]
mod tools;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Compression, Group, Member, OpenArchive, OpenError, PackError, PackOptions, Packed,
    UnpackError, UnpackOptions, Volume, budget::ByteBudget, open, pack, path::RelativePath, unpack,
};
use crate::{
    deadline::Deadline,
    stream::{ByteSink, RangedSource, Silent, StreamError},
};

/// An archive in memory that counts what is read of it.
struct Bytes {
    bytes: Vec<u8>,
    read: Mutex<Vec<(u64, usize)>>,
}

impl Bytes {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            read: Mutex::default(),
        }
    }
}

impl RangedSource for Bytes {
    fn total(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), StreamError> {
        self.read.lock().unwrap().push((offset, bytes.len()));
        let start = usize::try_from(offset)?;
        let found = self.bytes.get(start..start + bytes.len());
        bytes.copy_from_slice(found.ok_or("the range reaches past the end")?);
        Ok(())
    }
}

/// Takes up to a number of bytes, then fails.
struct Collected {
    bytes: Vec<u8>,
    limit: usize,
}

impl ByteSink for Collected {
    fn write_all(&mut self, bytes: Vec<u8>) -> Result<(), StreamError> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err("the store is full".into());
        }
        self.bytes.extend(bytes);
        Ok(())
    }
}

fn relative(path: &str) -> RelativePath {
    RelativePath::new(path).unwrap()
}

/// A member for everything below `directory`, which is the root `root`, sorted by name.
fn members(root: &str, directory: &Path) -> Vec<Member> {
    let root = relative(root);
    walkdir::WalkDir::new(directory)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| {
            let source = entry.unwrap().into_path();
            let within = source.strip_prefix(directory).unwrap();
            let name = if within.as_os_str().is_empty() {
                root.clone()
            } else {
                root.join(&RelativePath::from_native(within).unwrap())
            };
            Member { name, source }
        })
        .collect()
}

fn group(compression: Compression, members: Vec<Member>) -> Group {
    Group {
        compression,
        members,
    }
}

fn pack_with(budget: u64, groups: &[Group]) -> Result<(Vec<u8>, Packed), PackError> {
    let mut sink = Collected {
        bytes: Vec::new(),
        limit: usize::MAX,
    };
    let budget = ByteBudget::new(budget);
    let options = PackOptions {
        budget: &budget,
        threads: 3,
        deadline: Deadline::never(),
    };
    let packed = pack(FACTS, groups, &options, &mut sink, &Silent)?;
    Ok((sink.bytes, packed))
}

const FACTS: &[u8] = br#"{"key":"hotcrate"}"#;

fn pack_all(groups: &[Group]) -> Vec<u8> {
    pack_with(ByteBudget::DEFAULT_BYTES, groups).unwrap().0
}

fn roots(roots: &[(&str, &Path)]) -> BTreeMap<RelativePath, PathBuf> {
    roots
        .iter()
        .map(|(name, directory)| (relative(name), (*directory).to_owned()))
        .collect()
}

/// Opens and unpacks all of an archive.
fn unpack_all(bytes: Vec<u8>, to: &[(&str, &Path)]) -> Result<Volume, Failure> {
    unpack_with(ByteBudget::DEFAULT_BYTES, &Bytes::new(bytes), to, &|_| true)
}

fn unpack_with(
    budget: u64,
    source: &Bytes,
    to: &[(&str, &Path)],
    select: &(dyn Fn(&RelativePath) -> bool + Sync),
) -> Result<Volume, Failure> {
    let archive = open(source).map_err(Failure::Open)?;
    unpack_opened(&archive, budget, source, to, select)
}

fn unpack_opened(
    archive: &OpenArchive,
    budget: u64,
    source: &Bytes,
    to: &[(&str, &Path)],
    select: &(dyn Fn(&RelativePath) -> bool + Sync),
) -> Result<Volume, Failure> {
    let budget = ByteBudget::new(budget);
    let options = UnpackOptions {
        budget: &budget,
        threads: 3,
        deadline: Deadline::never(),
    };
    unpack(archive, source, &roots(to), select, &options, &Silent).map_err(Failure::Unpack)
}

#[derive(Debug)]
enum Failure {
    Open(OpenError),
    Unpack(UnpackError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(error) => error.fmt(formatter),
            Self::Unpack(error) => error.fmt(formatter),
        }
    }
}

/// Everything about a tree that must survive: a line per member, and what is linked together.
fn describe(directory: &Path) -> BTreeMap<String, Described> {
    let mut first_names = BTreeMap::new();
    walkdir::WalkDir::new(directory)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| {
            let path = entry.unwrap().into_path();
            let within = path.strip_prefix(directory).unwrap();
            let name = within.to_str().unwrap().to_owned();
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_dir() => "directory".into(),
                kind if kind.is_symlink() => {
                    let target = fs_err::read_link(&path).unwrap();
                    format!("-> {}", target.display()).into()
                }
                _ => fs_err::read(&path).unwrap(),
            };
            let described = Described {
                content,
                mode: mode(&metadata),
                modified: metadata.modified().unwrap(),
                linked_with: inode(&metadata)
                    .map(|inode| first_names.entry(inode).or_insert(name.clone()).clone()),
            };
            (name, described)
        })
        .collect()
}

#[derive(PartialEq, Eq)]
struct Described {
    content: Vec<u8>,
    mode: u32,
    modified: SystemTime,
    /// The first name of the same inode, which may be its own.
    linked_with: Option<String>,
}

impl std::fmt::Debug for Described {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digest = crate::key::Digest::of_bytes(&self.content);
        write!(
            formatter,
            "{} bytes {} {:o} {:?} {:?}",
            self.content.len(),
            digest.short(),
            self.mode,
            self.modified,
            self.linked_with
        )
    }
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
}

#[cfg(not(unix))]
fn mode(_metadata: &std::fs::Metadata) -> u32 {
    0
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "not every platform has inodes")]
fn inode(metadata: &std::fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn inode(_metadata: &std::fs::Metadata) -> Option<(u64, u64)> {
    None
}

fn set_modified(path: &Path, seconds: u64, nanos: u32) {
    let time = UNIX_EPOCH + Duration::new(seconds, nanos);
    let time = filetime::FileTime::from_system_time(time);
    filetime::set_symlink_file_times(path, time, time).unwrap();
}

/// Bytes that zstd can do little with.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}

/// A small tree with one of everything.
#[cfg(unix)]
fn sample(directory: &Path) {
    fs_err::create_dir_all(directory.join("debug/deps/empty")).unwrap();
    fs_err::create_dir_all(directory.join("debug/build")).unwrap();
    let rlib = directory.join("debug/deps/liba.rlib");
    fs_err::write(&rlib, noise(100_000)).unwrap();
    fs_err::write(directory.join("debug/deps/stderr"), "").unwrap();
    fs_err::write(directory.join("debug/deps/ü"), "not ASCII").unwrap();
    fs_err::hard_link(&rlib, directory.join("debug/liba.rlib")).unwrap();
    fs_err::os::unix::fs::symlink("../deps/liba.rlib", directory.join("debug/build/link")).unwrap();
    fs_err::os::unix::fs::symlink("nowhere", directory.join("dangling")).unwrap();
    let script = directory.join("debug/build/script");
    fs_err::write(&script, "#!/bin/sh").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o751);
    fs_err::set_permissions(&script, mode).unwrap();
    let paths: Vec<_> = walkdir::WalkDir::new(directory)
        .contents_first(true)
        .into_iter()
        .collect();
    for (number, entry) in (1..).zip(paths) {
        set_modified(
            entry.unwrap().path(),
            1_700_000_000 + u64::from(number),
            number * 1_000_001,
        );
    }
}
