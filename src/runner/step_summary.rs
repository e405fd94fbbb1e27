//! The summary of a step: a file of Markdown that the runner shows on the run's page.
//!
//! The runner takes no file of more than 1 MiB (GitHub's documentation of workflow commands: "Adding a job summary"). Whoever
//! writes asks how much room is left, as the step's own commands may have written before.

use std::{
    io::{self, Write as _},
    path::Path,
};

use fs_err as fs;

/// How large the file may be, in bytes.
pub const MAX_SUMMARY_BYTES: u64 = 1 << 20;

/// Adds what `render` makes of the room that is left, in bytes, to the file that GITHUB_STEP_SUMMARY names.
pub fn append_summary(file: &Path, render: impl FnOnce(usize) -> String) -> io::Result<()> {
    let written = match fs::metadata(file) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    // What is there may end in the middle of a line.
    let room = MAX_SUMMARY_BYTES.saturating_sub(written + 1);
    let page = render(usize::try_from(room).unwrap_or(usize::MAX));
    if page.is_empty() {
        return Ok(());
    }
    let mut file = fs::File::options().create(true).append(true).open(file)?;
    file.write_all(format!("\n{page}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_stays_and_takes_room() {
        let directory = tempfile::tempdir().expect("there is room");
        let file = directory.path().join("summary");
        append_summary(&file, |room| {
            assert_eq!(room, (1 << 20) - 1);
            "# one".to_owned()
        })
        .expect("it can be written");
        append_summary(&file, |room| {
            assert_eq!(room, (1 << 20) - 7);
            "# two".to_owned()
        })
        .expect("it can be written");
        let text = fs::read_to_string(&file).expect("it is there");
        assert_eq!(text, "\n# one\n# two");
    }

    #[test]
    fn a_file_that_is_full_is_left_alone() {
        let directory = tempfile::tempdir().expect("there is room");
        let file = directory.path().join("summary");
        fs::write(&file, vec![b'x'; 1 << 20]).expect("it can be written");
        append_summary(&file, |room| {
            assert_eq!(room, 0);
            String::new()
        })
        .expect("there is nothing to write");
        assert_eq!(fs::metadata(&file).expect("it is there").len(), 1 << 20);
    }
}
