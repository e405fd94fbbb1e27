//! Fetching the published release.
//!
//! Invariant: nothing is kept that is not, byte for byte, what this hotcrate knows the digest of; and it is kept by a
//! rename, so that whoever finds it finds it whole.

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::GzDecoder;
use ureq::{Agent, tls::TlsConfig};

use super::{PROGRAM, Release, VERSION};
use crate::{
    environment::Environment,
    network::{BadProxy, Proxies, root_certificates},
};

/// Where releases are published: below it lie the version's tag and the archive.
pub const PUBLISHED_AT: &str = "https://github.com/mozilla/sccache/releases/download";

/// How long to wait for a connection, for the next bytes, and for all of it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const STALL_LIMIT: Duration = Duration::from_secs(30);
const WHOLE_LIMIT: Duration = Duration::from_mins(2);
/// What no archive and no program exceeds, in bytes: three times the largest of today.
const LARGEST: u64 = 64 << 20;

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// Nobody published one.
    #[error("sccache {VERSION} has no release for {os} on {architecture}")]
    NoRelease {
        /// The system, as Rust names it.
        os: String,
        /// The architecture, as Rust names it.
        architecture: String,
    },
    /// The network cannot be reached the way that the user says.
    #[error(transparent)]
    Proxy(#[from] BadProxy),
    /// It did not come, or not whole.
    #[error("failed to fetch {address}")]
    Fetch {
        /// The archive's address.
        address: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It is not the one that was published.
    #[error("{address} is not what it should be: its SHA-256 is another")]
    OtherDigest {
        /// The archive's address.
        address: String,
    },
    /// It cannot be unpacked or kept.
    #[error("failed to keep sccache in {directory}", directory = directory.display())]
    Keep {
        /// Where it was to go.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The release's program in `tool_cache`; fetched from `published_at` if it is not there yet.
pub fn obtain(
    release: &Release,
    published_at: &str,
    tool_cache: &Path,
    environment: &Environment,
) -> Result<PathBuf, ObtainError> {
    let directory = tool_cache
        .join("hotcrate-sccache")
        .join(VERSION)
        .join(release.target);
    let program = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    let kept = directory.join(&program);
    if kept.is_file() {
        return Ok(kept);
    }
    let address = format!("{published_at}/v{VERSION}/{}.tar.gz", release.name());
    let proxies = Proxies::read(environment)?;
    let archive = fetch(&address, proxies, environment).map_err(|source| ObtainError::Fetch {
        address: address.clone(),
        source: Box::new(source),
    })?;
    if !release.is_of(&archive) {
        return Err(ObtainError::OtherDigest { address });
    }
    let member = format!("{}/{program}", release.name());
    unpack(&archive, &member)
        .and_then(|bytes| keep(&bytes, &directory, &kept))
        .map_err(|source| ObtainError::Keep { directory, source })?;
    Ok(kept)
}

/// The bytes at an address. Redirects are followed: releases lie elsewhere than where they are asked for.
fn fetch(
    address: &str,
    proxies: Proxies,
    environment: &Environment,
) -> Result<Vec<u8>, ureq::Error> {
    let is_secure = address.starts_with("https:");
    let mut config = Agent::config_builder()
        .https_only(is_secure)
        .user_agent(concat!("hotcrate/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_per_read(Some(STALL_LIMIT))
        .timeout_global(Some(WHOLE_LIMIT));
    if is_secure {
        let provider = rustls::crypto::ring::default_provider();
        let tls = TlsConfig::builder()
            .root_certs(root_certificates(environment))
            .unversioned_rustls_crypto_provider(provider.into());
        config = config.proxy(proxies.secure).tls_config(tls.build());
    } else {
        config = config.proxy(proxies.plain);
    }
    let mut response = Agent::new_with_config(config.build()).get(address).call()?;
    response
        .body_mut()
        .with_config()
        .limit(LARGEST)
        .read_to_vec()
}

/// The content of one file of a `.tar.gz`.
fn unpack(archive: &[u8], member: &str) -> io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() && entry.path()? == Path::new(member) {
            let mut bytes = Vec::new();
            entry.take(LARGEST).read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    let missing = format!("the archive holds no {member}");
    Err(io::Error::new(io::ErrorKind::NotFound, missing))
}

fn keep(bytes: &[u8], directory: &Path, kept: &Path) -> io::Result<()> {
    fs_err::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    make_executable(file.path())?;
    // Closed before it is run: a program that is open for writing cannot be.
    file.into_temp_path().persist(kept)?;
    Ok(())
}

#[cfg(unix)]
fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        net::TcpListener,
        thread,
    };

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::key::Digest;

    /// A release whose archive holds a program, and that archive.
    fn published() -> (Release, Vec<u8>) {
        let named = Release {
            target: "x86_64-unknown-none",
            sha256: "",
        };
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let program = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
        let mut directory = tar::Header::new_gnu();
        directory.set_entry_type(tar::EntryType::Directory);
        directory.set_size(0);
        directory.set_mode(0o755);
        tar.append_data(&mut directory, format!("{}/", named.name()), io::empty())
            .expect("it is in memory");
        for (name, content) in [
            ("LICENSE", "licence"),
            ("README.md", "read me"),
            (program.as_str(), "the program"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            let path = format!("{}/{name}", named.name());
            tar.append_data(&mut header, path, content.as_bytes())
                .expect("it is in memory");
        }
        let archive = tar
            .into_inner()
            .and_then(GzEncoder::finish)
            .expect("it is in memory");
        let sha256 = Digest::of_bytes(&archive).to_string().leak();
        (Release { sha256, ..named }, archive)
    }

    /// A server that gives one answer, whatever it is asked, and then is gone.
    fn answering(status: &str, length: usize, body: Vec<u8>) -> String {
        answering_with(status, &format!("Content-Length: {length}"), body)
    }

    fn answering_with(status: &str, header: &str, body: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let head = format!("HTTP/1.1 {status}\r\n{header}\r\nConnection: close\r\n\r\n");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let asked = BufReader::new(stream.try_clone().expect("it is open"));
            // The request ends at the first empty line.
            asked
                .lines()
                .map_while(Result::ok)
                .find(String::is_empty)
                .expect("the request has an end");
            stream.write_all(head.as_bytes()).expect("it is open");
            stream.write_all(&body).expect("it is open");
        });
        format!("http://{address}")
    }

    fn obtain_from(
        published_at: &str,
        release: &Release,
        tool_cache: &Path,
    ) -> Result<PathBuf, String> {
        let obtained = obtain(release, published_at, tool_cache, &Environment::default());
        obtained.map_err(|error| error.to_string().replace(published_at, "http://server"))
    }

    #[test]
    fn a_release_is_fetched_once_and_then_found() {
        let tool_cache = tempfile::tempdir().expect("there is room");
        let (release, archive) = published();
        let server = answering("200 OK", archive.len(), archive);
        let program = obtain_from(&server, &release, tool_cache.path()).expect("it is published");
        assert_eq!(fs_err::read(&program).expect("it is kept"), b"the program");
        // The server has given its one answer.
        let again = obtain_from(&server, &release, tool_cache.path());
        assert_eq!(again, Ok(program));
    }

    #[test]
    fn a_redirect_to_where_releases_really_lie_is_followed() {
        let tool_cache = tempfile::tempdir().expect("there is room");
        let (release, archive) = published();
        let storage = answering("200 OK", archive.len(), archive);
        let location = format!("Location: {storage}/asset?signature=x\r\nContent-Length: 0");
        let server = answering_with("302 Found", &location, Vec::new());
        let program = obtain_from(&server, &release, tool_cache.path()).expect("it is published");
        assert_eq!(fs_err::read(&program).expect("it is kept"), b"the program");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_kept_can_be_executed() {
        use std::os::unix::fs::PermissionsExt as _;

        let tool_cache = tempfile::tempdir().expect("there is room");
        let (release, archive) = published();
        let server = answering("200 OK", archive.len(), archive);
        let program = obtain_from(&server, &release, tool_cache.path()).expect("it is published");
        let mode = fs_err::metadata(program).expect("it is kept").permissions();
        assert_eq!(mode.mode() & 0o777, 0o755);
    }

    #[test]
    fn an_archive_without_the_program_leaves_nothing() {
        let tool_cache = tempfile::tempdir().expect("there is room");
        let (release, archive) = published();
        let other = Release {
            target: "aarch64-unknown-none",
            ..release
        };
        let server = answering("200 OK", archive.len(), archive);
        let obtained = obtain(&other, &server, tool_cache.path(), &Environment::default());
        let error = obtained.expect_err("it holds another target's");
        let causes: Vec<_> = anyhow::Error::from(error)
            .chain()
            .skip(1)
            .map(ToString::to_string)
            .collect();
        insta::assert_snapshot!(causes.join(": "), @"the archive holds no sccache-v0.16.0-aarch64-unknown-none/sccache");
        assert!(!tool_cache.path().join("hotcrate-sccache").exists());
    }

    #[test]
    fn what_has_another_digest_is_refused_and_nothing_is_kept() {
        let tool_cache = tempfile::tempdir().expect("there is room");
        let (release, mut archive) = published();
        let last = archive.len() - 1;
        archive[last] ^= 1;
        let server = answering("200 OK", archive.len(), archive);
        let error = obtain_from(&server, &release, tool_cache.path()).expect_err("it is another");
        insta::assert_snapshot!(error, @"http://server/v0.16.0/sccache-v0.16.0-x86_64-unknown-none.tar.gz is not what it should be: its SHA-256 is another");
        assert!(!tool_cache.path().join("hotcrate-sccache").exists());
    }

    #[test]
    fn what_is_missing_cut_off_or_unreachable_is_an_error_that_names_the_address() {
        let tool_cache = tempfile::tempdir().expect("there is room");
        let (release, archive) = published();
        let cut = archive[..archive.len() / 2].to_vec();
        for server in [
            answering("404 Not Found", 0, Vec::new()),
            answering("200 OK", archive.len(), cut),
            "http://127.0.0.1:1".to_owned(),
        ] {
            let error =
                obtain_from(&server, &release, tool_cache.path()).expect_err("it is not there");
            insta::allow_duplicates! {
                insta::assert_snapshot!(error, @"failed to fetch http://server/v0.16.0/sccache-v0.16.0-x86_64-unknown-none.tar.gz");
            }
        }
        assert!(!tool_cache.path().join("hotcrate-sccache").exists());
    }
}
