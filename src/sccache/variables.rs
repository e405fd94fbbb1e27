//! What a build is told, so that it uses sccache.
//!
//! Invariant: a variable that the user has set keeps its value, but for the address of the server: that is the run's own,
//! as a server of somebody else's on this machine has another directory.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Address, Program};
use crate::environment::Environment;

/// The bound on the directory unless the user sets one, as sccache reads it.
const DEFAULT_BOUND: &str = "512M";
const DEFAULT_BOUND_BYTES: u64 = 512 << 20;
/// How many seconds a server waits for work: longer than tests run between two builds, and not for ever, for when nobody
/// is left to stop it.
const IDLE_SECONDS: &str = "3600";

/// The variable that holds the path of sccache itself, for the wrapper.
pub const WRAPPED: &str = "HOTCRATE_WRAPPED_SCCACHE";
/// The variable that holds the run's own directory, for the wrapper.
pub const WRAPPER_DIRECTORY: &str = "HOTCRATE_SCCACHE_RUN";
/// The file in that directory that has one line for each compilation that went without sccache because it failed.
pub const FELL_BACK: &str = "fell-back";

const INCREMENTAL: &str = "CARGO_INCREMENTAL";

/// How large the directory may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// In bytes.
    pub bytes: u64,
    /// Whether the user set it.
    pub is_users: bool,
}

/// SCCACHE_CACHE_SIZE, or 512 MiB. `Err` is the user's value, if it is none that sccache can read.
pub fn bound_of(environment: &Environment) -> Result<Bound, String> {
    match environment.text("SCCACHE_CACHE_SIZE") {
        None => Ok(Bound {
            bytes: DEFAULT_BOUND_BYTES,
            is_users: false,
        }),
        Some(value) => match parse_size(value) {
            Some(bytes) => Ok(Bound {
                bytes,
                is_users: true,
            }),
            None => Err(value.to_owned()),
        },
    }
}

/// Reads a size as sccache does: a number, and K, M, G or T for powers of 1024.
fn parse_size(value: &str) -> Option<u64> {
    let unit = value.chars().last()?.to_ascii_uppercase();
    let (number, shift) = match "KMGT".find(unit) {
        Some(at) => (&value[..value.len() - 1], 10 * (at + 1)),
        None => (value, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// An sccache in use. Kept in the state between a restore and a save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InUse {
    /// The program, absolute.
    pub program: PathBuf,
    /// Its version.
    pub version: String,
    /// SCCACHE_DIR, absolute.
    pub directory: PathBuf,
    /// How many bytes of the directory are stored at most.
    pub bound_bytes: u64,
    /// How the run's server is reached.
    pub address: Address,
    /// What to set for the build.
    pub variables: Vec<(String, String)>,
}

impl InUse {
    /// An sccache with its directory at SCCACHE_DIR or else at `directory`, and the variables that make a build use it.
    /// `None` if a path of it is not UTF-8, so that no report could name it.
    pub fn new(
        program: &Program,
        directory: PathBuf,
        bound: Bound,
        address: Address,
        environment: &Environment,
    ) -> Option<Self> {
        let own_directory = environment.path("SCCACHE_DIR");
        // The size of a directory of the user's own, which other projects may share, is the user's to bound.
        let size = (own_directory.is_none() && !bound.is_users).then_some(DEFAULT_BOUND);
        let directory = own_directory.unwrap_or(directory);
        let text = |path: &PathBuf| path.to_str().map(str::to_owned);
        let mut variables = vec![
            ("RUSTC_WRAPPER".to_owned(), text(&address.wrapper())?),
            (WRAPPED.to_owned(), text(&program.path)?),
            (WRAPPER_DIRECTORY.to_owned(), text(&address.directory)?),
            ("SCCACHE_DIR".to_owned(), text(&directory)?),
        ];
        let defaults = [
            ("SCCACHE_CACHE_SIZE", size),
            ("SCCACHE_IDLE_TIMEOUT", Some(IDLE_SECONDS)),
            // Where the server can't be talked to any more, rustc is run without it.
            ("SCCACHE_IGNORE_SERVER_IO_ERROR", Some("1")),
            // What is compiled incrementally is never cached.
            (INCREMENTAL, Some("0")),
        ];
        for (name, value) in defaults {
            if let Some(value) = value
                && environment.os(name).is_none()
            {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
        variables.extend(address.variables()?);
        Some(Self {
            program: program.path.clone(),
            version: program.version.clone(),
            directory,
            bound_bytes: bound.bytes,
            address,
            variables,
        })
    }
}

impl InUse {
    /// Leaves it to the build whether units are compiled incrementally.
    pub fn leave_incremental_as_it_is(&mut self) {
        self.variables.retain(|(name, _)| name != INCREMENTAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use(variables: &[(&str, &str)]) -> String {
        let program = Program {
            path: "/bin/sccache".into(),
            version: "0.16.0".to_owned(),
        };
        let environment = variables.iter().copied().collect();
        let bound = bound_of(&environment).expect("it can be read");
        let address = Address {
            directory: "/tmp/h".into(),
            socket: Some("/tmp/h/s".into()),
            port: 41000,
        };
        let in_use = InUse::new(&program, "/cache".into(), bound, address, &environment);
        let in_use = in_use.expect("all paths are UTF-8");
        let variables = in_use.variables.iter();
        let lines: Vec<_> = variables
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        // As it is where programs have no extension.
        let lines = lines.join("\n").replace('\\', "/").replace(".exe", "");
        format!("{lines}\nat most {}", in_use.bound_bytes)
    }

    #[test]
    fn a_build_is_told_where_the_cache_and_the_server_are_and_to_go_on_without_them() {
        insta::assert_snapshot!(in_use(&[]), @r"
        RUSTC_WRAPPER=/tmp/h/sccache
        HOTCRATE_WRAPPED_SCCACHE=/bin/sccache
        HOTCRATE_SCCACHE_RUN=/tmp/h
        SCCACHE_DIR=/cache
        SCCACHE_CACHE_SIZE=512M
        SCCACHE_IDLE_TIMEOUT=3600
        SCCACHE_IGNORE_SERVER_IO_ERROR=1
        CARGO_INCREMENTAL=0
        SCCACHE_SERVER_PORT=41000
        SCCACHE_SERVER_UDS=/tmp/h/s
        at most 536870912
        ");
    }

    #[test]
    fn what_the_user_set_stays_and_a_directory_of_the_users_own_is_not_bounded() {
        let users = [
            ("SCCACHE_DIR", "/mine"),
            ("SCCACHE_IDLE_TIMEOUT", "0"),
            ("CARGO_INCREMENTAL", "0"),
            ("SCCACHE_SERVER_PORT", "4226"),
        ];
        insta::assert_snapshot!(in_use(&users), @r"
        RUSTC_WRAPPER=/tmp/h/sccache
        HOTCRATE_WRAPPED_SCCACHE=/bin/sccache
        HOTCRATE_SCCACHE_RUN=/tmp/h
        SCCACHE_DIR=/mine
        SCCACHE_IGNORE_SERVER_IO_ERROR=1
        SCCACHE_SERVER_PORT=41000
        SCCACHE_SERVER_UDS=/tmp/h/s
        at most 536870912
        ");
    }

    #[rstest::rstest]
    #[case("1G", Ok(1 << 30))]
    #[case("700k", Ok(700 << 10))]
    #[case("2T", Ok(2 << 40))]
    #[case("1000", Ok(1000))]
    #[case("512MiB", Err("512MiB"))]
    #[case("much", Err("much"))]
    #[case("99999999T", Err("99999999T"))]
    fn sizes_are_read_as_sccache_reads_them(
        #[case] value: &str,
        #[case] expected: Result<u64, &str>,
    ) {
        let environment = [("SCCACHE_CACHE_SIZE", value)].into_iter().collect();
        let bytes = bound_of(&environment).map(|bound| bound.bytes);
        assert_eq!(bytes, expected.map_err(str::to_owned));
    }
}
