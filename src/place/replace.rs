//! Putting a staged file or directory in the place of what is there.
//!
//! Unlike everything else that is put in place, this takes the place of what existed: the user named the path as one that
//! hotcrate makes. Invariant: at every moment but one the path has the old content, whole, or the new; only a directory is
//! absent for the time between two renames, and a kill right there leaves the old one in the staging directory's stead.

use std::path::Path;

use fs_err as fs;

use super::{PlaceError, Staging};

/// Moves `staged`, which lies in `staging`, to `destination`, in place of a file, a link or a directory. Directories above
/// it have to be there. A failure leaves what was there.
pub fn replace(staging: &Staging, staged: &Path, destination: &Path) -> Result<(), PlaceError> {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let put = |from: &Path| {
        fs::rename(from, destination).map_err(PlaceError::file("put in place", destination))
    };
    if !is_directory(destination) {
        // What takes the place of a file by one rename must not be a directory.
        if is_directory(staged) && fs::symlink_metadata(destination).is_ok() {
            let aside = staging.aside("old");
            fs::rename(destination, &aside).map_err(PlaceError::file("move aside", destination))?;
            return put(staged).inspect_err(|_| take_back(&aside, destination));
        }
        return put(staged);
    }
    let aside = staging.aside("old");
    fs::rename(destination, &aside).map_err(PlaceError::file("move aside", destination))?;
    put(staged).inspect_err(|_| take_back(&aside, destination))?;
    if let Err(error) = fs::remove_dir_all(&aside) {
        // It goes with the staging directory.
        tracing::debug!("{error}");
    }
    Ok(())
}

fn take_back(aside: &Path, destination: &Path) {
    if let Err(error) = fs::rename(aside, destination) {
        tracing::debug!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> (tempfile::TempDir, Staging) {
        let directory = tempfile::tempdir().unwrap();
        let staging = Staging::create(directory.path()).unwrap();
        fs::write(staging.path().join("file"), "new").unwrap();
        fs::create_dir(staging.path().join("directory")).unwrap();
        fs::write(staging.path().join("directory/new"), "new").unwrap();
        (directory, staging)
    }

    #[rstest::rstest]
    #[case::nothing(None)]
    #[case::a_file(Some("file"))]
    #[case::a_directory(Some("directory"))]
    fn the_new_takes_the_place_of_whatever_was_there(#[case] old: Option<&str>) {
        for new in ["file", "directory"] {
            let (directory, staging) = scene();
            let place = directory.path().join("place");
            match old {
                Some("file") => fs::write(&place, "old").unwrap(),
                Some(_) => {
                    fs::create_dir(&place).unwrap();
                    fs::write(place.join("old"), "old").unwrap();
                }
                None => {}
            }
            replace(&staging, &staging.path().join(new), &place).unwrap();
            drop(staging);
            if new == "file" {
                assert_eq!(fs::read_to_string(&place).unwrap(), "new");
            } else {
                assert!(place.join("new").exists());
                assert!(!place.join("old").exists());
            }
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let (directory, staging) = scene();
        let place = directory.path().join("place");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("old"), "old").unwrap();
        let missing = staging.path().join("missing");
        replace(&staging, &missing, &place).unwrap_err();
        assert!(place.join("old").exists());
    }
}
