//! Unpacking: from ranges of an archive to files, all cores at once.
//!
//! More threads than cores fetch ranges; as many as there are cores decompress and write. A thread takes all memory
//! that its range needs before it fetches, and waits for nothing but a workbench afterwards, so unpackings that
//! share a budget can't wait for each other for ever.
//!
//! Content is written first, then hard links, then symlinks, then the times of directories: nothing is ever written
//! through a link, as there is none yet.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::PathBuf,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    UnpackOptions, Volume,
    codec::{UnpackFailure, Unpacker},
    content::{CutFiles, FrameWriter},
    error::UnpackError,
    index::Content,
    open::{Frame, OpenArchive},
    path::RelativePath,
    plan::{FetchRange, Plan},
    write::{create_directory, create_hard_link, create_symlink, finish_directory, write_file},
};
use crate::{
    key::Digest,
    stream::{Progress, RangedSource, StreamError},
};

/// How many ranges are fetched at once: one connection does not fill a line to the cache service.
const FETCHES: usize = 8;

/// Unpacks the members that `select` takes, by their names, into the directories of their roots.
///
/// A member's name is the name of its root, and then the path within it; of several roots that fit, the one with the
/// longest name has it. `roots` are existing, empty directories by the names of the roots. Parents that are no
/// members, or not selected, are created. `source` must be the one that `archive` was opened from.
///
/// Fails if a member lies in no root, a symlink leads out of its root (`select` makes no difference to either),
/// something can't be read, is not what its digest says, or can't be written, or if the deadline passes: that is looked at before
/// every frame. What was written by then is of no
/// use, and the caller's to delete.
pub fn unpack(
    archive: &OpenArchive,
    source: &dyn RangedSource,
    roots: &BTreeMap<RelativePath, PathBuf>,
    select: &(dyn Fn(&RelativePath) -> bool + Sync),
    options: &UnpackOptions<'_>,
    progress: &dyn Progress,
) -> Result<Volume, UnpackError> {
    let plan = Plan::new(archive, roots, select)?;
    for place in &plan.new_directories {
        create_directory(&place.path())?;
    }
    for &number in &plan.empty_files {
        write_file(&plan.path(number), &[], plan.attributes(number))?;
    }
    transfer(&plan, source, options, progress)?;
    for &(original, link) in &plan.hard_links {
        create_hard_link(
            &plan.path(original),
            &plan.path(link),
            plan.attributes(link),
        )?;
    }
    create_symlinks(&plan)?;
    for &number in &plan.directories {
        finish_directory(&plan.path(number), plan.attributes(number))?;
    }
    Ok(Volume {
        packed_bytes: plan
            .ranges
            .iter()
            .map(|range| range.end - range.start)
            .sum(),
        raw_bytes: plan.files.iter().map(|file| file.size).sum(),
        members: plan.selected,
    })
}

fn create_symlinks(plan: &Plan<'_>) -> Result<(), UnpackError> {
    for &number in &plan.symlinks {
        if let Content::Symlink { target } = &plan.archive.records()[number].content {
            let path = plan.path(number);
            // Only Windows asks, and everything else is in place by now.
            let to_directory = cfg!(windows) && path.with_file_name(target).is_dir();
            create_symlink(target, &path, to_directory, plan.attributes(number))?;
        }
    }
    Ok(())
}

/// Fetches, decompresses and writes all content.
fn transfer(
    plan: &Plan<'_>,
    source: &dyn RangedSource,
    options: &UnpackOptions<'_>,
    progress: &dyn Progress,
) -> Result<(), UnpackError> {
    // Threads that could only wait for memory are not worth the memory that allocators keep for each.
    let largest = plan.ranges.iter().map(memory_for).max().unwrap_or(1);
    let at_once = usize::try_from(options.budget.limit() / largest.max(1)).unwrap_or(FETCHES);
    let fetchers = FETCHES
        .min(at_once)
        .max(options.threads)
        .clamp(1, plan.ranges.len().max(1));
    let transfer = Transfer {
        plan,
        source,
        options,
        progress,
        workbenches: Workbenches::new(options.threads.max(1)),
        cut_files: CutFiles::new(plan),
        order: spread(plan.ranges.len(), options.threads.max(1)).collect(),
        next: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
        failure: Mutex::new(None),
    };
    thread::scope(|scope| {
        for _ in 0..fetchers {
            scope.spawn(|| transfer.work());
        }
    });
    let failure = transfer
        .failure
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)
}

struct Transfer<'a> {
    plan: &'a Plan<'a>,
    source: &'a dyn RangedSource,
    options: &'a UnpackOptions<'a>,
    progress: &'a dyn Progress,
    workbenches: Workbenches,
    cut_files: CutFiles,
    /// The ranges by their numbers, as they are fetched.
    order: Vec<usize>,
    /// The place in `order` of the next one.
    next: AtomicUsize,
    stopped: AtomicBool,
    failure: Mutex<Option<UnpackError>>,
}

impl Transfer<'_> {
    fn work(&self) {
        while !self.stopped.load(Ordering::Relaxed) {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&number) = self.order.get(next) else {
                return;
            };
            let range = &self.plan.ranges[number];
            if let Err(error) = self.unpack_range(range) {
                lock(&self.failure).get_or_insert(error);
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
    }

    fn unpack_range(&self, range: &FetchRange) -> Result<(), UnpackError> {
        let fetched = fetched_bytes(range)?;
        let memory = self.options.budget;
        let (memory, mut buffer) = memory.take_with_buffer(range.largest_raw, fetched);
        // It may have taken long to get the memory.
        if self.stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.options.deadline.check()?;
        let bytes = self.fetch(range, &mut buffer[..fetched])?;
        self.workbenches
            .with(|unpacker| self.unpack_frames(range, bytes, unpacker))?;
        memory.give_back_with(buffer);
        Ok(())
    }

    fn unpack_frames(
        &self,
        range: &FetchRange,
        bytes: &[u8],
        unpacker: &mut Unpacker,
    ) -> Result<(), UnpackError> {
        for number in range.frames.clone() {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.options.deadline.check()?;
            let frame = &self.plan.archive.frames()[number];
            let packed = (frame.offset - range.start)..(frame.packed_end() - range.start);
            let packed = slice(bytes, packed).ok_or(UnpackError::Damaged {
                frame: number,
                reason: "is cut short",
            })?;
            self.unpack_frame(number, frame, packed, unpacker)?;
        }
        Ok(())
    }

    /// The bytes of `range`: in `buffer`, unless they are here already.
    fn fetch<'b>(
        &'b self,
        range: &FetchRange,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], UnpackError> {
        if let Some(bytes) = self.plan.archive.in_head(range.start, range.end) {
            return Ok(bytes);
        }
        self.source
            .read_exact_at(buffer, range.start)
            .map_err(|source| read_failure(range, source))?;
        Ok(buffer)
    }

    fn unpack_frame(
        &self,
        number: usize,
        frame: &Frame,
        packed: &[u8],
        unpacker: &mut Unpacker,
    ) -> Result<(), UnpackError> {
        let damaged = |reason| UnpackError::Damaged {
            frame: number,
            reason,
        };
        // Before zstd sees any of it.
        if Digest::of_bytes(packed) != frame.entry.digest {
            return Err(damaged("does not match its digest"));
        }
        let raw_length =
            usize::try_from(frame.entry.raw).map_err(|_| damaged("does not fit into memory"))?;
        let mut writer = FrameWriter::new(self.plan, &self.cut_files, self.progress, frame);
        unpacker
            .unpack(packed, raw_length, |piece| writer.write(piece))
            .map_err(|failure| match failure {
                UnpackFailure::Frame => damaged("does not decompress to its size"),
                UnpackFailure::Taker(error) => error,
            })
    }
}

/// The numbers below `count`, such that `parts` that follow each other lie far apart.
///
/// A large file lies in ranges that are adjacent, and a file system lets no two threads write to one file: they would
/// wait for each other.
fn spread(count: usize, parts: usize) -> impl Iterator<Item = usize> {
    let part = count.div_ceil(parts);
    (0..part)
        .flat_map(move |within| (0..parts).map(move |number| number * part + within))
        .filter(move |number| *number < count)
}

/// How many bytes of `range` are still to be fetched.
fn fetched_bytes(range: &FetchRange) -> Result<usize, UnpackError> {
    if range.in_head {
        return Ok(0);
    }
    usize::try_from(range.end - range.start).map_err(|error| read_failure(range, error.into()))
}

/// What fetching and decompressing `range` takes at most, in bytes.
fn memory_for(range: &FetchRange) -> u64 {
    let fetched = if range.in_head {
        0
    } else {
        range.end - range.start
    };
    fetched + range.largest_raw
}

fn read_failure(range: &FetchRange, source: StreamError) -> UnpackError {
    UnpackError::Read {
        offset: range.start,
        length: range.end - range.start,
        source,
    }
}

fn slice(bytes: &[u8], range: Range<u64>) -> Option<&[u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decompressors, of which only so many are ever busy at once.
struct Workbenches {
    state: Mutex<Benches>,
    returned: Condvar,
}

struct Benches {
    /// How many more may be busy.
    free: usize,
    idle: Vec<Unpacker>,
}

impl Workbenches {
    fn new(count: usize) -> Self {
        Self {
            state: Mutex::new(Benches {
                free: count,
                idle: Vec::new(),
            }),
            returned: Condvar::new(),
        }
    }

    /// Waits until one is free, and does `work` at it.
    ///
    /// Who comes while one is free gets it, even if others were told to wake up for it: on a busy machine that may
    /// take them long.
    fn with<T>(&self, work: impl FnOnce(&mut Unpacker) -> T) -> T {
        let mut unpacker = {
            let mut benches = self
                .returned
                .wait_while(lock(&self.state), |benches| benches.free == 0)
                .unwrap_or_else(PoisonError::into_inner);
            benches.free -= 1;
            benches.idle.pop().unwrap_or_else(Unpacker::new)
        };
        let _busy = Busy(self);
        let result = work(&mut unpacker);
        lock(&self.state).idle.push(unpacker);
        result
    }
}

/// Frees a workbench, whatever happened at it.
struct Busy<'a>(&'a Workbenches);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).free += 1;
        self.0.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_are_unpacked_at_once_lie_far_apart_and_none_is_left_out() {
        let order = |count, parts| spread(count, parts).collect::<Vec<_>>();
        assert_eq!(order(7, 2), [0, 4, 1, 5, 2, 6, 3]);
        assert_eq!(order(5, 4), [0, 2, 4, 1, 3]);
        assert_eq!(order(2, 8), [0, 1]);
        assert_eq!(order(0, 2), [0; 0]);
    }
}
