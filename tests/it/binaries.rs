//! What the committed binaries are, read from the files themselves: each for its platform, in need of nothing that a bare
//! machine lacks, and small.

use std::{collections::BTreeSet, path::PathBuf};

use object::{Object as _, ObjectKind, ObjectSection as _, read::File};

use crate::dist::binaries;

/// What a binary may weigh, in bytes: all of them are part of every checkout of the action.
const LARGEST: usize = 8_000_000;
/// Of the Mach-O format (Apple's `mach-o/loader.h` and `cs_blobs.h`).
const LC_CODE_SIGNATURE: u32 = 0x1d;
const SIGNATURE_MAGIC: u32 = 0xfade_0cc0;
const CODE_DIRECTORY_MAGIC: u32 = 0xfade_0c02;
const IS_AD_HOC: u32 = 0x2;

/// The binaries whose targets end in `suffix`, each with its target and its bytes.
fn those_for(suffix: &str) -> Vec<(String, Vec<u8>)> {
    let read = |(target, path): (String, PathBuf)| (target, fs_err::read(path).unwrap());
    let all = binaries().into_iter();
    all.filter(|(target, _)| target.ends_with(suffix))
        .map(read)
        .collect()
}

fn parse(bytes: &[u8]) -> File<'_> {
    let file = File::parse(bytes).unwrap();
    assert!(matches!(
        file.kind(),
        ObjectKind::Executable | ObjectKind::Dynamic
    ));
    file
}

/// The libraries that are loaded with it, in lower case.
fn libraries(file: &File<'_>) -> BTreeSet<String> {
    let imports = file.imports().unwrap();
    imports
        .map(|import| String::from_utf8_lossy(import.unwrap().library()).to_lowercase())
        .collect()
}

/// The architecture that `target` begins with.
fn architecture(target: &str) -> object::Architecture {
    match target.split('-').next() {
        Some("aarch64") => object::Architecture::Aarch64,
        _ => object::Architecture::X86_64,
    }
}

#[test]
fn every_committed_binary_is_small_and_stripped() {
    for (target, bytes) in those_for("") {
        assert!(bytes.len() < LARGEST, "{target}: {} bytes", bytes.len());
        let file = parse(&bytes);
        assert_eq!(file.architecture(), architecture(&target), "{target}");
        let debug: Vec<_> = file
            .sections()
            .filter_map(|section| section.name().ok().map(str::to_owned))
            .filter(|name| name.contains("debug_info"))
            .collect();
        assert!(debug.is_empty(), "{target}: {debug:?}");
    }
}

#[test]
fn every_committed_linux_binary_needs_no_library() {
    for (target, bytes) in those_for("-linux-musl") {
        let file = parse(&bytes);
        assert_eq!(file.format(), object::BinaryFormat::Elf, "{target}");
        assert!(
            file.section_by_name(".interp").is_none(),
            "{target}: it asks for a loader"
        );
        assert_eq!(libraries(&file), BTreeSet::new(), "{target}");
        assert!(file.symbols().next().is_none(), "{target}: it has symbols");
    }
}

#[test]
fn every_committed_windows_binary_needs_libraries_of_windows_only() {
    for (target, bytes) in those_for("-windows-gnu") {
        let file = parse(&bytes);
        assert_eq!(file.format(), object::BinaryFormat::Pe, "{target}");
        let libraries = libraries(&file);
        let foreign: Vec<_> = libraries
            .iter()
            .filter(|name| name.starts_with("lib"))
            .collect();
        assert!(
            foreign.is_empty() && !libraries.is_empty(),
            "{target}: {libraries:?}"
        );
    }
}

/// arm64 macOS starts nothing that is not signed; a signature by nobody will do.
#[test]
fn every_committed_macos_binary_is_signed_and_needs_libraries_of_macos_only() {
    for (target, bytes) in those_for("-apple-darwin") {
        let file = parse(&bytes);
        assert_eq!(file.format(), object::BinaryFormat::MachO, "{target}");
        for library in libraries(&file) {
            let is_of_macos = ["/usr/lib/", "/system/library/"]
                .iter()
                .any(|place| library.starts_with(place));
            assert!(is_of_macos, "{target}: {library}");
        }
        let signature = signature(&bytes);
        if target.starts_with("aarch64") {
            let flags = signature.expect("it is signed");
            assert_eq!(flags & IS_AD_HOC, IS_AD_HOC, "{target}: flags {flags:#x}");
        }
    }
}

/// The flags of the code directory of a 64-bit Mach-O file, if it has a signature.
fn signature(bytes: &[u8]) -> Option<u32> {
    let little = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let big = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let mut command = 32;
    for _ in 0..little(16)? {
        if little(command)? == LC_CODE_SIGNATURE {
            let start = little(command + 8)? as usize;
            assert_eq!(big(start)?, SIGNATURE_MAGIC);
            return (0..big(start + 8)? as usize).find_map(|index| {
                let blob = start + big(start + 16 + index * 8)? as usize;
                (big(blob)? == CODE_DIRECTORY_MAGIC).then(|| big(blob + 12))?
            });
        }
        command += little(command + 4)? as usize;
    }
    None
}
