//! The tools that are on every machine read what hotcrate wrote.

use std::ffi::OsStr;

use super::*;
use crate::process::user_command;

/// What `tool` prints; `None`, and a message, where it is missing.
fn run(tool: &str, arguments: &[&OsStr]) -> Option<String> {
    let output = match user_command(OsStr::new(tool)).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: {tool}: {error}");
            return None;
        }
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool}: {stderr}");
    assert_eq!(stderr, "", "{tool} has something to say");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn tar_and_zstd_list_and_extract_an_archive_with_equal_content_and_times() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(from.path());
    let large = from.path().join("large");
    fs_err::write(&large, noise(1 << 20).repeat(40)).unwrap();
    set_modified(&large, 5, 6);
    set_modified(from.path(), 7, 8);
    let before = describe(from.path());
    let archive = to.path().join("archive.tar.zst");
    let groups = [group(Compression::LongWindow, members("t", from.path()))];
    fs_err::write(&archive, pack_all(&groups)).unwrap();
    let [file, zstd] = [archive.as_os_str(), OsStr::new("--zstd")];

    let Some(listed) = run(
        "tar",
        &[
            zstd,
            OsStr::new("--quoting-style=literal"),
            OsStr::new("-tf"),
            file,
        ],
    ) else {
        return;
    };
    let names = members("t", from.path()).into_iter().map(|member| {
        let directory = if fs_err::symlink_metadata(&member.source).unwrap().is_dir() {
            "/"
        } else {
            ""
        };
        format!("{}{directory}\n", member.name)
    });
    assert_eq!(listed, names.collect::<String>());
    run("zstd", &[OsStr::new("-tq"), file]).unwrap();
    let into = [
        zstd,
        OsStr::new("-pxf"),
        file,
        OsStr::new("-C"),
        to.path().as_os_str(),
    ];
    run("tar", &into).unwrap();
    assert_eq!(describe(&to.path().join("t")), before);
}
