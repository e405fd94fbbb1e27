//! What a file is beyond its name: the digest of its content, and whether it may be executed. Changes nothing.

use std::{fs::Metadata, io, io::Read as _, path::Path};

use sha2::{Digest as _, Sha256};

use crate::key::Digest;

const CHUNK_BYTES: usize = 128 * 1024;

/// The SHA-256 of the content of the file at `path`, which a link leads to as well.
pub fn digest_of_file(path: &Path) -> io::Result<Digest> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest::from_raw(hasher.finalize().into())),
            Ok(length) => hasher.update(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether somebody may execute the file. Never on Windows, where names decide.
#[cfg(unix)]
pub fn is_executable(found: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    found.permissions().mode() & 0o111 != 0
}

/// Whether somebody may execute the file. Never on Windows, where names decide.
#[cfg(not(unix))]
pub fn is_executable(_found: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("large");
        let bytes = vec![b'a'; CHUNK_BYTES + 1];
        fs_err::write(&path, &bytes).expect("written");
        assert_eq!(
            digest_of_file(&path).expect("readable"),
            Digest::of_bytes(&bytes)
        );
        assert!(digest_of_file(directory.path()).is_err());
    }
}
