//! Whether what was compiled, or what a build script wrote, holds the path of the target directory it was made in.
//!
//! Restored under another path, such a unit points into the old place, and Cargo takes it as fresh: it has to be
//! left out, with everything that was compiled against it. Where an occurrence is harmless:
//!
//! - in debug information, and in the names of source files, which only show up in diagnostics and panic messages.
//!   Both are very common: every crate that includes generated code has them.
//! - in what a build script printed, as long as the path is that of its own `OUT_DIR`, which Cargo replaces when it
//!   reads the lines again (`BuildOutput::parse` in rust-lang/cargo, by the file `root-output`).
//! - in files of `OUT_DIR` that only the build itself reads, which makes them anew when it runs again:
//!   [`is_log_of_build`]. `CMakeCache.txt` is none of these: CMake refuses to work in a directory that has another one's.
//!
//! Everything else in `OUT_DIR` counts, text or not: generated code that includes by absolute path, `.pc` files. So do
//! the libraries in it outside of debug information.
//!
//! Errs on the side of leaving out: what cannot be read counts, and what cannot be parsed is searched whole. The one
//! exception are files of `OUT_DIR` that are longer than [`LONGEST_SEARCHED`] and no libraries or executables: data.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use object::{Object as _, ObjectSection as _, SectionKind, read::archive::ArchiveFile};

use super::{FileKind, Layout, Unit, UnitFile, UnitKind, scan::extension};
use crate::archive::path::RelativePath;

/// How long a file of `OUT_DIR` may be, in bytes, to be searched although it is no object code.
const LONGEST_SEARCHED: u64 = 8 << 20;

/// Whether the outputs of `unit`, whose files lie in the absolute directory `target`, hold the path of that directory
/// where it matters. What cannot be read counts as holding it.
pub fn holds_target_path(target: &Path, unit: &Unit) -> bool {
    // A path that is not UTF-8 never gets into a string of Rust code.
    let Some(text) = target.to_str() else {
        return false;
    };
    if unit.kind == UnitKind::BuildScriptRun {
        return run_holds(target, text, unit);
    }
    let dep_info = outputs(unit)
        .filter(|file| extension(file.path.file_name()) == Some("d"))
        .filter_map(|file| fs_err::read_to_string(file.path.below(target)).ok())
        .collect::<String>();
    let mentions = Mentions::of(&dep_info, text);
    if !mentions.reads_target {
        return false;
    }
    let search = PathSearch::new(text, mentions.sources.iter().map(String::as_str));
    outputs(unit)
        .filter(|file| extension(file.path.file_name()) != Some("d"))
        .map(|file| file.path.below(target))
        .any(|path| fs_err::read(&path).map_or(true, |bytes| search.matters_in(&bytes)))
}

/// Whether the file at `path`, an executable, library or text, holds the absolute path `place` outside of debug
/// information. What cannot be read counts as holding it.
pub fn file_holds(path: &Path, place: &Path) -> bool {
    let Some(text) = place.to_str() else {
        return false;
    };
    let read = fs_err::read(path);
    read.map_or(true, |bytes| {
        let searches = spellings(text);
        let mut searches = searches.iter().map(|text| PathSearch::new(text, []));
        searches.any(|search| search.matters_in(&bytes))
    })
}

fn outputs(unit: &Unit) -> impl Iterator<Item = &UnitFile> {
    unit.files
        .iter()
        .filter(|file| file.kind == FileKind::File && !file.is_fingerprint)
}

/// What a file of a build script's run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunFile {
    /// What the script wrote into `OUT_DIR`.
    Out,
    /// What it printed to standard output.
    Printed,
    /// The file in which Cargo keeps the absolute path of `OUT_DIR`.
    RootOutput,
    /// Time stamps, and what it printed to standard error.
    Other,
}

impl RunFile {
    fn of(unit: &Unit, path: &RelativePath) -> Self {
        // `<profile>/build/<package>-<hash>/…`, `<profile>/build/<package>/<hash>/…`
        let (depth, below_run) = match unit.layout {
            Layout::V1 => (2, None),
            Layout::V2 => (3, Some("run")),
        };
        let mut parts = path.parts().skip(unit.id.profile.parts().count() + depth);
        let first = parts.next();
        let name = if below_run.is_some() && first == below_run {
            parts.next()
        } else {
            first
        };
        match (name, unit.layout) {
            _ if first == Some("out") => Self::Out,
            (Some("output"), Layout::V1) | (Some("stdout"), Layout::V2) => Self::Printed,
            (Some("root-output"), _) => Self::RootOutput,
            _ => Self::Other,
        }
    }
}

/// [`holds_target_path`] for the run of a build script; `text` is `target`.
fn run_holds(target: &Path, text: &str, unit: &Unit) -> bool {
    let files = |kind: RunFile| {
        outputs(unit)
            .filter(move |file| RunFile::of(unit, &file.path) == kind)
            .map(|file| (file, file.path.below(target)))
    };
    let spellings = spellings(text);
    let out_directory = files(RunFile::RootOutput)
        .find_map(|(_, path)| fs_err::read_to_string(path).ok())
        .unwrap_or_default();
    let printed_holds = |(_, path): (&UnitFile, PathBuf)| {
        fs_err::read(path).map_or(true, |bytes| {
            printed_matters(
                &String::from_utf8_lossy(&bytes),
                out_directory.trim_end(),
                &spellings,
            )
        })
    };
    if files(RunFile::Printed).any(printed_holds) {
        return true;
    }
    let sources: Vec<_> = files(RunFile::Out)
        .filter(|(file, _)| is_source_of_c(&file.path))
        .filter_map(|(_, path)| path.to_str().map(str::to_owned))
        .collect();
    let in_text: Vec<_> = spellings
        .iter()
        .map(|text| PathSearch::new(text, []))
        .collect();
    let in_objects = PathSearch::new(text, sources.iter().map(String::as_str));
    files(RunFile::Out)
        .filter(|(file, _)| !is_log_of_build(&file.path))
        .any(|(file, path)| match is_object(&path) {
            Ok(true) => fs_err::read(&path).map_or(true, |bytes| in_objects.matters_in(&bytes)),
            Ok(false) if file.bytes > LONGEST_SEARCHED => false,
            Ok(false) => fs_err::read(&path).map_or(true, |bytes| {
                in_text.iter().any(|search| search.matters_in_plain(&bytes))
            }),
            Err(_) => true,
        })
}

/// How text may have a path: as it is, and with the backslashes of Windows doubled or turned, as code and CMake do.
fn spellings(path: &str) -> Vec<String> {
    let mut spellings = vec![path.to_owned()];
    if cfg!(windows) {
        spellings.extend([path.replace('\\', "\\\\"), path.replace('\\', "/")]);
    }
    spellings
}

/// Whether a directive among the lines that a build script printed has a path in the target directory other than that
/// of its `OUT_DIR`.
fn printed_matters(lines: &str, out_directory: &str, spellings: &[String]) -> bool {
    /// These make Cargo run the script again at worst, or are for people.
    const HARMLESS: [&str; 4] = [
        "rerun-if-changed",
        "rerun-if-env-changed",
        "warning",
        "error",
    ];
    lines
        .lines()
        .filter_map(|line| line.strip_prefix("cargo:"))
        .map(|directive| directive.strip_prefix(':').unwrap_or(directive))
        .filter_map(|directive| directive.split_once('='))
        .filter(|(name, _)| !HARMLESS.contains(name))
        .any(|(_, value)| {
            let value = if out_directory.is_empty() {
                value.to_owned()
            } else {
                value.replace(out_directory, "")
            };
            spellings.iter().any(|spelling| value.contains(spelling))
        })
}

/// Whether a file of `OUT_DIR` is one that a build by make and autotools writes for itself, by the name that these
/// tools give it. Short on purpose: a name that someone else could give to a file of theirs is not here.
fn is_log_of_build(path: &RelativePath) -> bool {
    let name = path.file_name();
    matches!(name, "config.log" | "config.status" | "Makefile")
        || matches!(extension(name), Some("d" | "log"))
}

/// Whether compiled C code may name the file in a message, by `__FILE__`.
fn is_source_of_c(path: &RelativePath) -> bool {
    matches!(
        extension(path.file_name()),
        Some("c" | "cc" | "cpp" | "cxx" | "m" | "mm" | "h" | "hh" | "hpp" | "hxx" | "inc")
    )
}

/// Whether a file is a static library, an object file, or what a linker made, by its first bytes. The object files of
/// Windows have none of their own and go by their name.
fn is_object(path: &Path) -> std::io::Result<bool> {
    const MAGIC: [&[u8]; 8] = [
        b"!<arch>\n",
        b"\x7fELF",
        b"MZ",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
    ];
    let mut head = Vec::new();
    fs_err::File::open(path)?.take(8).read_to_end(&mut head)?;
    Ok(MAGIC.iter().any(|magic| head.starts_with(magic))
        || path.extension().is_some_and(|extension| extension == "obj"))
}

/// What a `.d` file says of the target directory. Code can hold its path only if one of these is so: it read a variable
/// that holds it, or it included a file from there.
struct Mentions {
    reads_target: bool,
    sources: Vec<String>,
}

impl Mentions {
    fn of(dep_info: &str, target: &str) -> Self {
        let variables = dep_info
            .lines()
            .filter_map(|line| line.strip_prefix("# env-dep:"))
            .any(|variable| variable.contains(target));
        // rustc closes a `.d` file with an empty rule for every source file, which is a list without continuation.
        let sources: Vec<_> = dep_info
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.strip_suffix(':'))
            .map(|source| source.replace("\\ ", " "))
            .filter(|source| source.starts_with(target))
            .collect();
        Self {
            reads_target: variables || !sources.is_empty(),
            sources,
        }
    }
}

/// What to look for in a unit's outputs.
#[derive(Clone, Debug)]
struct PathSearch {
    target: Vec<u8>,
    sources: Vec<Vec<u8>>,
}

impl PathSearch {
    /// Looks for `target`, the absolute path of the target directory; `sources` are the absolute paths of the
    /// unit's source files, as its `.d` file names them, or as they lie in `OUT_DIR`.
    fn new<'path>(target: &str, sources: impl IntoIterator<Item = &'path str>) -> Self {
        Self {
            target: target.as_bytes().to_vec(),
            sources: sources
                .into_iter()
                .filter(|source| source.starts_with(target))
                .map(|source| source.as_bytes().to_vec())
                .collect(),
        }
    }

    /// Whether `bytes`, a library, executable, metadata or text file, hold the path in a way that matters.
    fn matters_in(&self, bytes: &[u8]) -> bool {
        if let Ok(archive) = ArchiveFile::parse(bytes) {
            return archive.members().any(|member| {
                member
                    .ok()
                    .and_then(|member| member.data(bytes).ok())
                    .is_none_or(|data| self.matters_in_object(data))
            });
        }
        self.matters_in_object(bytes)
    }

    fn matters_in_object(&self, bytes: &[u8]) -> bool {
        match object::File::parse(bytes) {
            Ok(file) => file
                .sections()
                .filter(|section| !is_debug_information(section))
                .any(|section| match section.data() {
                    Ok(data) => self.matters_in_plain(data),
                    Err(_) => true,
                }),
            Err(_) => self.matters_in_plain(bytes),
        }
    }

    fn matters_in_plain(&self, bytes: &[u8]) -> bool {
        memchr::memmem::find_iter(bytes, &self.target).any(|start| {
            let text = &bytes[start..];
            // Neither metadata nor read-only data ends its strings, so the name of a source file is recognised by
            // how it begins.
            !self.sources.iter().any(|source| text.starts_with(source))
        })
    }
}

fn is_debug_information(section: &object::Section<'_, '_>) -> bool {
    if matches!(
        section.kind(),
        SectionKind::Debug | SectionKind::DebugString
    ) {
        return true;
    }
    let named_so = |name: &str| name.starts_with(".debug") || name.starts_with("__debug");
    section.name().is_ok_and(named_so)
        || section
            .segment_name()
            .is_ok_and(|segment| segment == Some("__DWARF"))
}

#[cfg(test)]
#[path = "embedded_path_tests.rs"]
mod tests;
