//! What unpacking has to do, decided before anything is fetched or written.
//!
//! Invariant: every path that a [`Plan`] leads to lies below the directory of the member's root.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    check::symlink_refusal,
    error::UnpackError,
    index::{Content, IndexMember},
    open::{Frame, OpenArchive},
    path::RelativePath,
    write::Attributes,
};

/// A range is fetched at once from this size on, in bytes.
const RANGE_LEAST: u64 = 8 << 20;
/// No range is larger, unless a single frame is.
const RANGE_MOST: u64 = 16 << 20;

/// What to fetch, and what to write.
pub(super) struct Plan<'a> {
    pub(super) archive: &'a OpenArchive,
    /// Where each member belongs, by its number.
    places: Vec<Place<'a>>,
    /// Directories to create, each behind its parent.
    pub(super) new_directories: Vec<Place<'a>>,
    /// Files with content, in the order of their content.
    pub(super) files: Vec<FileJob>,
    /// The numbers of files that are empty.
    pub(super) empty_files: Vec<usize>,
    /// Hard links: the number of the member that is written, and that of its other name.
    pub(super) hard_links: Vec<(usize, usize)>,
    /// The numbers of symlinks.
    pub(super) symlinks: Vec<usize>,
    /// The numbers of directories, the deepest first.
    pub(super) directories: Vec<usize>,
    /// What to fetch, in order.
    pub(super) ranges: Vec<FetchRange>,
    /// How many members are unpacked.
    pub(super) selected: u64,
}

/// A path within a root.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    directory: &'a Path,
    /// Relative to the directory; empty for the root itself.
    within: &'a str,
}

impl Place<'_> {
    pub(super) fn path(self) -> PathBuf {
        let mut path = self.directory.to_owned();
        if !self.within.is_empty() {
            path.extend(self.within.split('/'));
        }
        path
    }
}

/// A file to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileJob {
    /// The number of the member whose name it gets.
    pub(super) member: usize,
    /// Where its content starts in the tar stream.
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl FileJob {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.size
    }

    /// Whether its content lies within one frame.
    pub(super) fn is_within(&self, frame: &Frame) -> bool {
        frame.start <= self.offset && self.end() <= frame.end()
    }
}

/// Adjacent frames that are fetched with one request.
#[derive(Clone, Debug)]
pub(super) struct FetchRange {
    /// The numbers of the frames.
    pub(super) frames: Range<usize>,
    /// Where the first zstd frame starts in the archive.
    pub(super) start: u64,
    /// Where the last one ends.
    pub(super) end: u64,
    /// Whether the first range of all, which is here already, holds it.
    pub(super) in_head: bool,
    /// Size of the largest frame, decompressed.
    pub(super) largest_raw: u64,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        archive: &'a OpenArchive,
        roots: &'a BTreeMap<RelativePath, PathBuf>,
        select: &(dyn Fn(&RelativePath) -> bool + Sync),
    ) -> Result<Self, UnpackError> {
        let members = archive.records();
        let by_name: HashMap<_, _> = roots
            .iter()
            .map(|(name, directory)| (name.as_str(), directory.as_path()))
            .collect();
        let places = members
            .iter()
            .map(|member| place(&by_name, member))
            .collect::<Result<Vec<_>, _>>()?;
        let mut plan = Self {
            archive,
            places,
            new_directories: Vec::new(),
            files: Vec::new(),
            empty_files: Vec::new(),
            hard_links: Vec::new(),
            symlinks: Vec::new(),
            directories: Vec::new(),
            ranges: Vec::new(),
            selected: 0,
        };
        plan.sort_members(select);
        plan.plan_directories();
        plan.ranges = plan_ranges(archive, &plan.files);
        Ok(plan)
    }

    /// Where to write the member of that number.
    pub(super) fn path(&self, member: usize) -> PathBuf {
        self.places[member].path()
    }

    pub(super) fn attributes(&self, member: usize) -> Attributes {
        let member = &self.archive.records()[member];
        Attributes {
            mode: member.mode,
            modified: member.modified,
        }
    }

    /// The files of which anything lies in `frame`.
    pub(super) fn files_in(&self, frame: &Frame) -> Range<usize> {
        let first = self.files.partition_point(|file| file.end() <= frame.start);
        let count = self.files[first..].partition_point(|file| file.offset < frame.end());
        first..first + count
    }

    fn sort_members(&mut self, select: &(dyn Fn(&RelativePath) -> bool + Sync)) {
        // Where content is written, by the number of the file: a link may be selected without what it links to.
        let mut written = HashMap::new();
        let members = self.archive.records();
        for (number, member) in members.iter().enumerate() {
            if !select(&member.name) {
                continue;
            }
            self.selected += 1;
            let file = match member.content {
                Content::File { .. } => number,
                Content::HardLink { to } => to,
                Content::Symlink { .. } => {
                    self.symlinks.push(number);
                    continue;
                }
                Content::Directory => {
                    self.directories.push(number);
                    continue;
                }
            };
            if let Some(original) = written.get(&file) {
                self.hard_links.push((*original, number));
                continue;
            }
            written.insert(file, number);
            match members[file].content {
                Content::File { size: 0, .. } => self.empty_files.push(number),
                Content::File { offset, size } => self.files.push(FileJob {
                    member: number,
                    offset,
                    size,
                }),
                _ => {}
            }
        }
        self.files.sort_unstable_by_key(|file| file.offset);
        // A parent's name is shorter than those below it.
        self.directories
            .sort_by_key(|number| std::cmp::Reverse(members[*number].name.as_str().len()));
    }

    /// Lists every directory that anything selected lies in, or is.
    fn plan_directories(&mut self) {
        let mut known = HashSet::new();
        let mut missing = Vec::new();
        let parents = self
            .files
            .iter()
            .map(|file| file.member)
            .chain(self.empty_files.iter().copied())
            .chain(self.hard_links.iter().map(|(_, link)| *link))
            .chain(self.symlinks.iter().copied())
            .map(|number| parent(self.places[number]));
        let themselves = self.directories.iter().map(|number| self.places[*number]);
        for place in parents.chain(themselves) {
            let mut place = place;
            while !place.within.is_empty() && known.insert((place.directory, place.within)) {
                missing.push(place);
                place = parent(place);
            }
            self.new_directories.extend(missing.drain(..).rev());
        }
    }
}

fn parent(place: Place<'_>) -> Place<'_> {
    Place {
        directory: place.directory,
        within: place
            .within
            .rsplit_once('/')
            .map_or("", |(parent, _)| parent),
    }
}

/// Finds the root of a member: the one with the longest name that leads to it.
fn place<'a>(
    roots: &HashMap<&'a str, &'a Path>,
    member: &'a IndexMember,
) -> Result<Place<'a>, UnpackError> {
    let name = member.name.as_str();
    let refused = |reason| UnpackError::Refused {
        member: name.to_owned(),
        reason,
    };
    let mut above = name;
    let directory = loop {
        if let Some(directory) = roots.get(above) {
            break *directory;
        }
        (above, _) = above
            .rsplit_once('/')
            .ok_or_else(|| refused("it lies in no root"))?;
    };
    let within = name[above.len()..].trim_start_matches('/');
    if within.is_empty() && member.content != Content::Directory {
        return Err(refused("it has the name of a root and is not a directory"));
    }
    if let Content::Symlink { target } = &member.content
        && let Some(reason) = symlink_refusal(within.split('/').count() - 1, target)
    {
        return Err(refused(reason));
    }
    Ok(Place { directory, within })
}

/// Joins the frames that hold any of `files` to ranges.
fn plan_ranges(archive: &OpenArchive, files: &[FileJob]) -> Vec<FetchRange> {
    let mut ranges: Vec<FetchRange> = Vec::new();
    let mut files = files.iter().peekable();
    for (number, frame) in archive.frames().iter().enumerate() {
        while files.next_if(|file| file.end() <= frame.start).is_some() {}
        if files.peek().is_none_or(|file| file.offset >= frame.end()) {
            continue;
        }
        let in_head = archive.in_head(frame.offset, frame.packed_end()).is_some();
        let raw = u64::from(frame.entry.raw);
        match ranges.last_mut() {
            Some(range)
                if range.frames.end == number
                    && range.in_head == in_head
                    && range.end - range.start < RANGE_LEAST
                    && frame.packed_end() - range.start <= RANGE_MOST =>
            {
                range.frames.end = number + 1;
                range.end = frame.packed_end();
                range.largest_raw = range.largest_raw.max(raw);
            }
            _ => ranges.push(FetchRange {
                frames: number..number + 1,
                start: frame.offset,
                end: frame.packed_end(),
                in_head,
                largest_raw: raw,
            }),
        }
    }
    ranges
}
