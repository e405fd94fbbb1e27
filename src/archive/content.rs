//! Writing the content of one frame to the files it belongs to, as it is decompressed.
//!
//! A file may lie in several frames, which several threads write at once; who writes the last of it gives it its
//! permissions and times.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    error::UnpackError,
    open::Frame,
    plan::{FileJob, Plan},
    write::{create_file, finish_file, write_at, write_file},
};
use crate::stream::Progress;

/// The files whose content lies in several frames, by their place among the files of the plan.
pub(super) struct CutFiles(HashMap<usize, Mutex<CutFile>>);

/// A file of which several threads write pieces.
struct CutFile {
    /// Open from the first piece to the last.
    open: Option<Arc<fs_err::File>>,
    /// Bytes that were not written yet.
    missing: u64,
}

impl CutFiles {
    pub(super) fn new(plan: &Plan<'_>) -> Self {
        let mut cut = HashMap::new();
        for range in &plan.ranges {
            for frame in &plan.archive.frames()[range.frames.clone()] {
                for number in plan.files_in(frame) {
                    let file = &plan.files[number];
                    if !file.is_within(frame) {
                        cut.entry(number).or_insert_with(|| {
                            Mutex::new(CutFile {
                                open: None,
                                missing: file.size,
                            })
                        });
                    }
                }
            }
        }
        Self(cut)
    }

    /// The file of that number, if it is a cut one.
    fn lock(&self, number: usize) -> Option<MutexGuard<'_, CutFile>> {
        let file = self.0.get(&number)?;
        Some(file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes the content of a frame piece by piece, and writes it where it belongs.
pub(super) struct FrameWriter<'a> {
    plan: &'a Plan<'a>,
    cut_files: &'a CutFiles,
    progress: &'a dyn Progress,
    frame: &'a Frame,
    /// Where the next piece lies in the tar stream.
    position: u64,
    /// The files, by their place among those of the plan, of which anything is still to come.
    files: Range<usize>,
    /// The first of these, if a part of it was written already.
    open: Option<Arc<fs_err::File>>,
}

impl<'a> FrameWriter<'a> {
    /// A writer for the bytes of the tar stream in `frame`.
    pub(super) fn new(
        plan: &'a Plan<'a>,
        cut_files: &'a CutFiles,
        progress: &'a dyn Progress,
        frame: &'a Frame,
    ) -> Self {
        Self {
            plan,
            cut_files,
            progress,
            frame,
            position: frame.start,
            files: plan.files_in(frame),
            open: None,
        }
    }

    /// Takes the next piece.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), UnpackError> {
        let (start, end) = (self.position, self.position + piece.len() as u64);
        self.position = end;
        while let Some(file) = self.plan.files[self.files.clone()].first() {
            let (from, to) = (file.offset.max(start), file.end().min(end));
            if from >= end {
                break;
            }
            let content = usize::try_from(from - start)
                .ok()
                .zip(usize::try_from(to - start).ok())
                .and_then(|(from, to)| piece.get(from..to))
                .unwrap_or_default();
            self.write_content(*file, content, from - file.offset)?;
            self.progress.advance(to - from);
            if to < file.end() {
                break;
            }
            self.files.start += 1;
        }
        Ok(())
    }

    /// Writes `content`, which lies `offset` bytes into `file`, the first of the files that are still to come.
    fn write_content(
        &mut self,
        file: FileJob,
        content: &[u8],
        offset: u64,
    ) -> Result<(), UnpackError> {
        let attributes = self.plan.attributes(file.member);
        if content.len() as u64 == file.size {
            return write_file(&self.plan.path(file.member), content, attributes);
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.open(file)?,
        };
        write_at(&open, content, offset)?;
        let end_here = file.end().min(self.frame.end());
        if file.offset + offset + (content.len() as u64) < end_here {
            self.open = Some(open);
            return Ok(());
        }
        // All of it that lies in this frame is written.
        let is_whole = match self.cut_files.lock(self.files.start) {
            None => true,
            Some(mut cut) => {
                cut.missing -= end_here - file.offset.max(self.frame.start);
                if cut.missing == 0 {
                    cut.open = None;
                }
                cut.missing == 0
            }
        };
        if is_whole {
            finish_file(&open, attributes)?;
        }
        Ok(())
    }

    /// Creates the file, unless another frame has.
    fn open(&self, file: FileJob) -> Result<Arc<fs_err::File>, UnpackError> {
        let create = || {
            let attributes = self.plan.attributes(file.member);
            create_file(&self.plan.path(file.member), attributes).map(Arc::new)
        };
        let Some(mut cut) = self.cut_files.lock(self.files.start) else {
            return create();
        };
        if let Some(open) = &cut.open {
            return Ok(Arc::clone(open));
        }
        let open = create()?;
        cut.open = Some(Arc::clone(&open));
        Ok(open)
    }
}
