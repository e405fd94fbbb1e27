//! Reading the files of one frame.

use std::{io, path::Path};

use super::{
    error::PackError,
    header::write_headers,
    index::{Content, padded},
    layout::{FramePlan, Identity, Layout, linked_name, read_failure},
};

/// Fills `raw` with the piece of the tar stream that `plan` says, and returns how many bytes of content it holds.
///
/// `raw` keeps its memory from frame to frame, so that it need not be cleared.
pub(super) fn read_frame(
    layout: &Layout<'_>,
    plan: &FramePlan,
    raw: &mut Vec<u8>,
) -> Result<u64, PackError> {
    raw.resize(in_memory(plan.end - plan.start), 0);
    let mut headers = Vec::new();
    let mut content_bytes = 0;
    let mut filled = plan.start;
    for (member, source) in layout.members[plan.first_member..]
        .iter()
        .zip(&layout.sources[plan.first_member..])
    {
        if source.start >= plan.end {
            break;
        }
        if source.start >= plan.start {
            headers.clear();
            write_headers(&mut headers, member, linked_name(&layout.members, member));
            let start = in_memory(source.start - plan.start);
            raw[start..start + headers.len()].copy_from_slice(&headers);
            filled = source.start + headers.len() as u64;
        }
        if let Content::File { offset, size } = member.content {
            let (start, end) = (offset.max(plan.start), (offset + size).min(plan.end));
            if start < end {
                let piece = &mut raw[in_memory(start - plan.start)..in_memory(end - plan.start)];
                read_piece(source.path, &source.identity, start - offset, piece)?;
                content_bytes += end - start;
                filled = end;
            }
            let padding_end = (offset + padded(size)).min(plan.end);
            if filled < padding_end {
                raw[in_memory(filled - plan.start)..in_memory(padding_end - plan.start)].fill(0);
                filled = padding_end;
            }
        }
    }
    // Behind the last member nothing follows but the end of the archive.
    raw[in_memory(filled - plan.start)..].fill(0);
    Ok(content_bytes)
}

/// A length within one frame.
fn in_memory(length: u64) -> usize {
    usize::try_from(length).expect("invariant: a frame fits into memory")
}

/// Reads `piece` from `offset` bytes into the file at `path`, which must still be what it was.
fn read_piece(
    path: &Path,
    identity: &Identity,
    offset: u64,
    piece: &mut [u8],
) -> Result<(), PackError> {
    let failure = |source| read_failure("read", path, source);
    let file = open(path).map_err(failure)?;
    read_exact_at(&file, piece, offset).map_err(failure)?;
    // Looked at behind the reading: what was written before it is seen as well as what was written during it.
    let metadata = file.metadata().map_err(failure)?;
    if Identity::of(&metadata).map_err(failure)? != *identity {
        return Err(PackError::Changed {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Opens a file for reading without following a link in its place and, where that can be, without moving its
/// access time, by which pruning sees what was used.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<fs_err::File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    let with = |flags: OFlags| {
        let mut options = std::fs::OpenOptions::new();
        let flags = flags.bits().cast_signed();
        options.read(true).custom_flags(flags);
        fs_err::OpenOptions::from_options(options).open(path)
    };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    match with(OFlags::NOFOLLOW | OFlags::NOATIME) {
        // Only a file's owner may leave its access time alone.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        result => return result,
    }
    with(OFlags::NOFOLLOW)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<fs_err::File> {
    fs_err::File::open(path)
}

#[cfg(unix)]
fn read_exact_at(file: &fs_err::File, piece: &mut [u8], offset: u64) -> io::Result<()> {
    use fs_err::os::unix::fs::FileExt as _;
    file.read_exact_at(piece, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &fs_err::File, mut piece: &mut [u8], mut offset: u64) -> io::Result<()> {
    use fs_err::os::windows::fs::FileExt as _;
    while !piece.is_empty() {
        match file.seek_read(piece, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                piece = &mut piece[length..];
                offset += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
