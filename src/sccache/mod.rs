//! sccache, a wrapper around rustc that keeps what was compiled: whether to use one, which, and its server.
//!
//! Invariants: a wrapper, a remote cache or a distributed build that the user set up is left alone; no program is given
//! to a build before it has answered what it is, and no server is started to find that out. The server that hotcrate
//! starts has a socket (or port) of its own, and an environment without anything that could be a secret. What a build gets
//! as its wrapper is this binary under another name, which runs the compiler itself wherever sccache fails
//! ([`crate::commands`]): whatever goes wrong means that the build compiles as if there were no sccache.
//!
//! Facts about sccache: mozilla/sccache, `docs/Configuration.md`, `src/commands.rs` and `src/server.rs` of release 0.16.0.

mod choice;
mod obtain;
mod program;
mod release;
mod server;
mod stats;
mod variables;

pub use choice::{Choice, NotUsed, SccacheSetting, Source, Surroundings, choose, user_config_file};
pub use obtain::{ObtainError, PUBLISHED_AT, obtain};
pub use program::{Program, ProgramError, on_path};
pub use release::{Release, VERSION};
pub use server::{Address, ServerError, server_answers};
pub use stats::{StatsError, read_stats};
pub use variables::{Bound, FELL_BACK, InUse, WRAPPED, WRAPPER_DIRECTORY, bound_of};

/// The program's name, as `cc` wants it to be: it wraps C compilers too where RUSTC_WRAPPER has this name.
pub const PROGRAM: &str = "sccache";
