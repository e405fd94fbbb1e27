//! The profile directories of a target directory, found without walking through what is in them.

use std::path::Path;

use super::scan::DEEPEST_PROFILE;
use crate::archive::path::RelativePath;

/// What Cargo makes in every profile directory, in one layout or the other.
const SIGNS: [&str; 4] = [
    ".fingerprint",
    ".cargo-lock",
    ".cargo-build-lock",
    ".cargo-artifact-lock",
];

/// The profile directories below `target`, relative to it and sorted. What cannot be listed has none.
pub fn profile_directories(target: &Path) -> Vec<RelativePath> {
    let mut found = Vec::new();
    look_below(target, None, 0, &mut found);
    found.sort();
    found
}

fn look_below(
    target: &Path,
    below: Option<&RelativePath>,
    depth: usize,
    found: &mut Vec<RelativePath>,
) {
    let directory = below.map_or_else(|| target.to_owned(), |below| below.below(target));
    let Ok(entries) = fs_err::read_dir(&directory) else {
        return;
    };
    for entry in entries.flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let Ok(name) = RelativePath::from_native(Path::new(&entry.file_name())) else {
            continue;
        };
        if !is_directory || name.as_str().starts_with('.') {
            continue;
        }
        let path = below.map_or_else(|| name.clone(), |below| below.join(&name));
        let full = path.below(target);
        if SIGNS.iter().any(|sign| full.join(sign).exists()) {
            found.push(path);
        } else if depth + 1 < DEEPEST_PROFILE {
            look_below(target, Some(&path), depth + 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_what_cargo_makes_in_them_wherever_they_lie() {
        let target = tempfile::tempdir().expect("there is room");
        for directory in [
            "debug/.fingerprint",
            "debug/deps",
            "aarch64-apple-darwin/release/.fingerprint",
            "miri/x86_64-unknown-linux-gnu/debug/.fingerprint",
            "doc/serde",
            ".hotcrate-stage-1/tree/debug/.fingerprint",
        ] {
            fs_err::create_dir_all(target.path().join(directory)).expect("it can be made");
        }
        let found: Vec<_> = profile_directories(target.path())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "aarch64-apple-darwin/release",
                "debug",
                "miri/x86_64-unknown-linux-gnu/debug"
            ]
        );
        assert!(profile_directories(&target.path().join("none")).is_empty());
    }
}
