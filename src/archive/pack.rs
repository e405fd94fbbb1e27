//! Packing: from files to a sink, all cores at once and yet in order.
//!
//! Every worker takes the next frame, reads its files, and compresses it; the calling thread hands finished frames
//! to the sink in their order. All memory that a frame needs is taken from the budget at once and in the order of
//! the frames, so the frame that the sink waits for never waits for memory that a later one holds.

use std::{
    collections::BTreeMap,
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{
    Group, PackOptions, Packed, Volume,
    budget::Allowance,
    codec::{Packer, expected_packed, pack_small},
    error::PackError,
    format::{FOOTER_LEN, Footer, MAX_FACTS_PACKED, MAX_FACTS_RAW, MAX_INDEX_RAW, Tag, skippable},
    index::{FrameEntry, Index, raw_bytes},
    layout::{Layout, lay_out},
    read::read_frame,
};
use crate::{
    key::Digest,
    stream::{ByteSink, Progress},
};

/// Packs the members of `groups` into `sink`, with `facts` (any bytes; the engine's are JSON) in front.
///
/// The sink must not take from the same budget: its bytes are its own to bound. Nothing is read of `groups` but
/// what the members name; a directory does not bring what lies in it. On an error the sink holds a part of an
/// archive that nothing can open.
///
/// Fails if a member vanished, changed, can't be read, is neither file nor link nor directory, would be refused by
/// [`super::unpack()`] (a symlink that leads out, a name twice), if the sink fails, or if the deadline passes: that is looked
/// at before every frame.
pub fn pack(
    facts: &[u8],
    groups: &[Group],
    options: &PackOptions<'_>,
    sink: &mut dyn ByteSink,
    progress: &dyn Progress,
) -> Result<Packed, PackError> {
    let layout = lay_out(groups)?;
    let mut output = Output { sink, position: 0 };
    let facts = pack_facts(facts)?;
    output.write(skippable(Tag::Facts, &[&facts.0, &facts.1]))?;
    let frames = pack_frames(&layout, options, &mut output, progress)?;
    let raw_bytes = raw_bytes(&layout.members);
    let members = layout.members.len() as u64;
    let index = Index {
        facts: Digest::of_bytes(&facts.1),
        frames,
        members: layout.members,
    };
    let digest = write_index(&index, &mut output)?;
    Ok(Packed {
        volume: Volume {
            packed_bytes: output.position,
            raw_bytes,
            members,
        },
        digest,
    })
}

/// The sink, and how much went into it.
struct Output<'a> {
    sink: &'a mut dyn ByteSink,
    position: u64,
}

impl Output<'_> {
    fn write(&mut self, bytes: Vec<u8>) -> Result<(), PackError> {
        self.position += bytes.len() as u64;
        self.sink.write_all(bytes).map_err(PackError::Sink)
    }
}

/// The raw size of the facts as it is stored, and the facts compressed.
fn pack_facts(facts: &[u8]) -> Result<([u8; 4], Vec<u8>), PackError> {
    let raw = checked_size("the header facts", facts.len(), MAX_FACTS_RAW)?;
    let packed = pack_small(facts).map_err(PackError::Compress)?;
    checked_size("the packed header facts", packed.len(), MAX_FACTS_PACKED)?;
    Ok((raw.to_le_bytes(), packed))
}

/// Writes index and footer, and returns the archive's digest.
fn write_index(index: &Index, output: &mut Output<'_>) -> Result<Digest, PackError> {
    let raw = index.encode();
    let index_raw = checked_size("the index", raw.len(), MAX_INDEX_RAW)?;
    let packed = pack_small(&raw).map_err(PackError::Compress)?;
    let index_packed = checked_size("the packed index", packed.len(), MAX_INDEX_RAW)?;
    let digest = Digest::of_bytes(&packed);
    let footer = Footer {
        index_offset: output.position,
        index_packed,
        index_raw,
        digest,
    };
    let mut end = skippable(Tag::Index, &[&packed]);
    end.reserve_exact(FOOTER_LEN);
    end.extend(footer.encode());
    output.write(end)?;
    Ok(digest)
}

fn checked_size(what: &'static str, size: usize, limit: u64) -> Result<u32, PackError> {
    let size = size as u64;
    u32::try_from(size)
        .ok()
        .filter(|_| size <= limit)
        .ok_or(PackError::TooLarge { what, size, limit })
}

fn pack_frames(
    layout: &Layout<'_>,
    options: &PackOptions<'_>,
    output: &mut Output<'_>,
    progress: &dyn Progress,
) -> Result<Vec<FrameEntry>, PackError> {
    let workers = options.threads.clamp(1, layout.frames.len().max(1));
    let line = Line {
        layout,
        options,
        progress,
        next: Mutex::new(0),
        state: Mutex::new(LineState {
            finished: BTreeMap::new(),
            failure: None,
            stopped: false,
            workers,
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| line.work());
        }
        let frames = line.hand_over(output);
        line.stop();
        frames
    })
}

/// Where frames are made: workers put them in, the calling thread takes them out in order.
struct Line<'a> {
    layout: &'a Layout<'a>,
    options: &'a PackOptions<'a>,
    progress: &'a dyn Progress,
    /// The next frame to make. Held while memory for it is taken, so that frames get theirs in order.
    next: Mutex<usize>,
    state: Mutex<LineState<'a>>,
    changed: Condvar,
}

struct LineState<'a> {
    finished: BTreeMap<usize, FinishedFrame<'a>>,
    failure: Option<PackError>,
    stopped: bool,
    /// How many workers are still there: without any, nobody may wait for a frame.
    workers: usize,
}

struct FinishedFrame<'a> {
    bytes: Vec<u8>,
    entry: FrameEntry,
    _memory: Allowance<'a>,
}

impl<'a> Line<'a> {
    /// Makes frames until there are none left, or something failed.
    fn work(&self) {
        let _leaving = Leaving(self);
        if let Err(error) = self.make_frames() {
            self.lock().failure.get_or_insert(error);
        }
    }

    fn make_frames(&self) -> Result<(), PackError> {
        let mut packer = Packer::new().map_err(PackError::Compress)?;
        let mut raw = Vec::new();
        while let Some((number, mut memory)) = self.claim() {
            self.options.deadline.check()?;
            let plan = &self.layout.frames[number];
            let content_bytes = read_frame(self.layout, plan, &mut raw)?;
            let overdraw = |bytes: usize| memory.overdraw(bytes as u64);
            let (bytes, entry) = packer
                .pack(&raw, plan.compression, overdraw)
                .map_err(PackError::Compress)?;
            memory.shrink_to(bytes.len() as u64);
            self.progress.advance(content_bytes);
            let frame = FinishedFrame {
                bytes,
                entry,
                _memory: memory,
            };
            self.lock().finished.insert(number, frame);
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Takes the next frame, and the memory that reading and compressing it should need.
    fn claim(&self) -> Option<(usize, Allowance<'a>)> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = self.layout.frames.get(*next)?;
        let raw = usize::try_from(plan.end - plan.start).unwrap_or(usize::MAX);
        let packed = expected_packed(raw, plan.compression);
        let memory = self.options.budget.take((raw + packed) as u64);
        let state = self.lock();
        if state.stopped || state.failure.is_some() {
            return None;
        }
        *next += 1;
        Some((*next - 1, memory))
    }

    /// Writes all frames in their order.
    fn hand_over(&self, output: &mut Output<'_>) -> Result<Vec<FrameEntry>, PackError> {
        let mut entries = Vec::with_capacity(self.layout.frames.len());
        for number in 0..self.layout.frames.len() {
            let frame = self.wait_for(number)?;
            entries.push(frame.entry);
            output.write(frame.bytes)?;
        }
        Ok(entries)
    }

    fn wait_for(&self, number: usize) -> Result<FinishedFrame<'a>, PackError> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| {
                state.failure.is_none()
                    && state.workers > 0
                    && !state.finished.contains_key(&number)
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = state.failure.take() {
            // Workers stop at a failure; that it was taken must not let them go on.
            state.stopped = true;
            return Err(error);
        }
        state.finished.remove(&number).ok_or_else(|| {
            PackError::Compress(io::Error::other("a thread ended without its frame"))
        })
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        // What waits here holds memory that workers may be waiting for.
        state.finished.clear();
    }

    fn lock(&self) -> MutexGuard<'_, LineState<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the calling thread that a worker left, however it did.
struct Leaving<'line, 'a>(&'line Line<'a>);

impl Drop for Leaving<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
        self.0.changed.notify_all();
    }
}
