//! The server that does the compiling: started for one run, asked what it did, and stopped.
//!
//! Invariants: the run's server listens where no other does, in a directory that only this user can enter where the
//! platform has such sockets; and what it is started with holds no secret, as it needs nothing but a few paths: each
//! compilation brings the environment that it is to have. Waiting for it is bounded.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{FELL_BACK, InUse, PROGRAM, StatsError, read_stats};
use crate::{
    environment::Environment,
    process::{Tool, ToolError},
    report::SccacheReport,
};

/// How long a server may take to start; sccache itself gives up after 10 s.
const START_LIMIT: Duration = Duration::from_secs(15);
/// How long it may take to say what it did, and to take the order to stop.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// How long it may take to be gone after that: it waits 10 s for its clients.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Some platforms have room for 104 bytes in a socket's address, one of them the closing zero.
const LONGEST_SOCKET: usize = 103;

const SOCKET_VARIABLE: &str = "SCCACHE_SERVER_UDS";
const PORT_VARIABLE: &str = "SCCACHE_SERVER_PORT";

/// What a server needs of the environment: where programs and homes are. Nothing that could be a secret.
const SERVER_VARIABLES: [&str; 25] = [
    "APPDATA",
    "CARGO_HOME",
    "COMSPEC",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LOCALAPPDATA",
    "NUMBER_OF_PROCESSORS",
    "PATH",
    "PATHEXT",
    "PROGRAMDATA",
    // By this a runner finds what a job left running.
    "RUNNER_TRACKING_ID",
    "RUSTUP_HOME",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "USER",
    "USERNAME",
    "USERPROFILE",
    "WINDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
];
/// What the user may have set for sccache itself goes along, but for what would keep it in the foreground.
const SERVER_PREFIX: &str = "SCCACHE_";
const NOT_FOR_SERVER: [&str; 1] = ["SCCACHE_NO_DAEMON"];

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No place for its socket, or no port.
    #[error("failed to {step}")]
    Address {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It does not do what it is asked.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// It cannot be understood.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// It does not end.
    #[error("the server of sccache still runs {waited:?} after it was asked to stop")]
    StillThere {
        /// How long it was waited for.
        waited: Duration,
    },
}

/// Where the run's server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// A directory of the run's own, which [`Address::release`] removes.
    pub directory: PathBuf,
    /// The socket in it, where the platform has such.
    pub socket: Option<PathBuf>,
    /// The port, for releases and platforms without.
    pub port: u16,
}

impl Address {
    /// An address at which nobody listens. Makes a directory in RUNNER_TEMP, or where the system has temporary files.
    pub fn reserve(environment: &Environment) -> Result<Self, ServerError> {
        let failed = |step| move |source| ServerError::Address { step, source };
        let parent = environment
            .path("RUNNER_TEMP")
            .unwrap_or_else(std::env::temp_dir);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(failed("find a port for sccache"))?
            .port();
        // Only this user may enter it: whoever reaches a server can have it run programs.
        let directory = tempfile::Builder::new()
            .prefix("hotcrate-sccache-")
            .tempdir_in(parent)
            .map_err(failed("make a directory for the socket of sccache"))?
            .keep();
        let socket = Some(directory.join("socket"))
            .filter(|socket| cfg!(unix) && socket.as_os_str().len() <= LONGEST_SOCKET);
        Ok(Self {
            directory,
            socket,
            port,
        })
    }

    /// The variables that name it. `None` if the socket's path is not UTF-8.
    pub(super) fn variables(&self) -> Option<Vec<(String, String)>> {
        let mut variables = vec![(PORT_VARIABLE.to_owned(), self.port.to_string())];
        if let Some(socket) = &self.socket {
            let socket = socket.to_str()?.to_owned();
            variables.push((SOCKET_VARIABLE.to_owned(), socket));
        }
        Some(variables)
    }

    /// Whether anybody answers.
    fn is_answered(&self) -> bool {
        self.socket.as_deref().is_some_and(socket_answers) || port_answers(self.port)
    }

    /// How many compilations went without sccache, because it failed.
    fn fallen_back(&self) -> u64 {
        fs_err::metadata(self.directory.join(FELL_BACK)).map_or(0, |file| file.len())
    }

    /// Where this binary lies under the name of sccache.
    pub(super) fn wrapper(&self) -> PathBuf {
        let suffix = std::env::consts::EXE_SUFFIX;
        self.directory.join(format!("{PROGRAM}{suffix}"))
    }

    /// Puts this binary there. A link would lead nowhere once a job removes or rebuilds hotcrate.
    pub fn make_wrapper(&self, binary: &Path) -> Result<PathBuf, ServerError> {
        let wrapper = self.wrapper();
        fs_err::hard_link(binary, &wrapper)
            .or_else(|_| fs_err::copy(binary, &wrapper).map(drop))
            .map_err(|source| ServerError::Address {
                step: "put the wrapper in place",
                source,
            })?;
        Ok(wrapper)
    }

    /// Removes the directory of the socket. It is the run's own.
    pub fn release(&self) {
        if let Err(error) = fs_err::remove_dir_all(&self.directory) {
            tracing::debug!("{error}");
        }
    }
}

/// Whether a server answers where the variables of a build say that one listens.
pub fn server_answers(environment: &Environment) -> bool {
    let socket = environment.path(SOCKET_VARIABLE);
    let port = environment.text(PORT_VARIABLE);
    socket.as_deref().is_some_and(socket_answers)
        || port
            .and_then(|port| port.parse().ok())
            .is_some_and(port_answers)
}

#[cfg(unix)]
fn socket_answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[cfg(not(unix))]
fn socket_answers(_socket: &Path) -> bool {
    false
}

fn port_answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

impl InUse {
    /// Starts the server, with an environment that holds nothing but paths.
    pub fn start(&self, environment: &Environment) -> Result<(), ServerError> {
        self.tool("--start-server", environment)
            .within(START_LIMIT)
            .output()?;
        Ok(())
    }

    /// Asks the server what it did. Where none answers, nothing was counted, and [`SccacheReport::note`] says so.
    pub fn stats(&self, environment: &Environment) -> Result<SccacheReport, ServerError> {
        let was_there = self.address.is_answered();
        let answer = self
            .tool("--show-stats", environment)
            .args(["--stats-format=json"])
            .within(ANSWER_LIMIT)
            .output()?;
        let mut report = read_stats(&answer, &self.version)?;
        report.fell_back = self.address.fallen_back();
        report.note = (!was_there).then(|| {
            "its server was gone when the build was over, and with it what it counted".to_owned()
        });
        Ok(report)
    }

    /// Asks the server to stop and waits until it is gone. That there is none is as good.
    pub fn stop(&self, environment: &Environment) -> Result<(), ServerError> {
        if self.address.is_answered() {
            self.tool("--stop-server", environment)
                .within(ANSWER_LIMIT)
                .output()?;
        }
        let asked = Instant::now();
        while self.address.is_answered() {
            if asked.elapsed() > STOP_LIMIT {
                return Err(ServerError::StillThere { waited: STOP_LIMIT });
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn tool(&self, order: &str, environment: &Environment) -> Tool {
        let directory = self.program.parent().unwrap_or(&self.program);
        let environment = server_environment(environment, &self.variables);
        Tool::new(&self.program, directory, &environment).args([order])
    }
}

/// What a server is started with: of the user's environment only what it needs, and what the build is told of sccache.
fn server_environment(environment: &Environment, variables: &[(String, String)]) -> Environment {
    let is_needed = |name: &str| {
        let upper = name.to_ascii_uppercase();
        let for_server = SERVER_VARIABLES.contains(&upper.as_str());
        for_server || (name.starts_with(SERVER_PREFIX) && !NOT_FOR_SERVER.contains(&name))
    };
    let users = environment
        .iter()
        .filter(|(name, _)| is_needed(name))
        .map(|(name, value)| (name.into(), value.to_owned()));
    let own = variables
        .iter()
        .filter(|(name, _)| name.starts_with(SERVER_PREFIX))
        .map(|(name, value)| (name.into(), value.into()));
    users
        .chain(own)
        .collect::<Vec<(std::ffi::OsString, std::ffi::OsString)>>()
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_paths_and_its_own_settings_and_nothing_that_could_be_a_secret() {
        let environment = [
            ("PATH", "/bin"),
            ("HOME", "/home/me"),
            ("GITHUB_TOKEN", "1"),
            ("ACTIONS_RUNTIME_TOKEN", "2"),
            ("AWS_SECRET_ACCESS_KEY", "3"),
            ("MY_PASSWORD", "4"),
            ("CARGO_REGISTRY_TOKEN", "5"),
            ("SCCACHE_LOG", "info"),
            ("SCCACHE_NO_DAEMON", "1"),
            ("SCCACHE_SERVER_PORT", "4226"),
        ]
        .into_iter()
        .collect();
        let own = [
            ("SCCACHE_SERVER_PORT".to_owned(), "41000".to_owned()),
            ("RUSTC_WRAPPER".to_owned(), "/bin/sccache".to_owned()),
        ];
        let started_with = server_environment(&environment, &own);
        let lines: Vec<_> = started_with
            .iter()
            .map(|(name, value)| format!("{name}={}", value.display()))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        HOME=/home/me
        PATH=/bin
        SCCACHE_LOG=info
        SCCACHE_SERVER_PORT=41000
        ");
    }

    #[test]
    fn every_run_has_an_address_of_its_own_at_which_nobody_answers() {
        let temporary = tempfile::tempdir().expect("there is room");
        let environment = [("RUNNER_TEMP", temporary.path())].into_iter().collect();
        let one = Address::reserve(&environment).expect("there is a port");
        let other = Address::reserve(&environment).expect("there is a port");
        assert_ne!(one.directory, other.directory);
        assert!(!one.is_answered());
        one.release();
        assert!(!one.directory.exists());
        assert!(other.directory.exists());
    }

    #[test]
    fn a_path_that_is_too_long_for_a_socket_leaves_the_port() {
        let temporary = tempfile::tempdir().expect("there is room");
        let deep = temporary.path().join("d".repeat(LONGEST_SOCKET));
        fs_err::create_dir(&deep).expect("there is room");
        let environment = [("RUNNER_TEMP", deep)].into_iter().collect();
        let address = Address::reserve(&environment).expect("there is a port");
        assert_eq!(address.socket, None);
        let variables = address.variables().expect("it is UTF-8");
        assert_eq!(variables.len(), 1);
    }
}
