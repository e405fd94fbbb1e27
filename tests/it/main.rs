//! End-to-end tests: the binary, real Cargo, and real crates, each test in a sandbox of its own.
//!
//! Every module covers one promise. What they share lies in `support`: a sandbox with a home, a CARGO_HOME and a
//! store of its own, the reading of Cargo's output into packages, and published projects fetched by Cargo itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to fail where it stands"
)]

#[cfg(target_os = "linux")]
mod action;
#[cfg(target_os = "linux")]
mod action_broken;
mod action_fail_open;
mod action_files;
mod action_step;
mod actions_faults;
mod actions_store;
mod after_job;
mod architecture;
mod binaries;
mod damage;
mod dist;
mod doctor;
mod existing_target;
mod explain;
mod holdings;
mod interop;
mod page;
mod readme;
mod repository;
mod settings;
mod support;

// Each of these needs a POSIX shell as the command that hotcrate runs.
#[cfg(unix)]
mod actions_run;
#[cfg(unix)]
mod artifact;
#[cfg(unix)]
mod buckets;
#[cfg(unix)]
mod cache_directories;
#[cfg(unix)]
mod clean;
#[cfg(unix)]
mod commands;
#[cfg(unix)]
mod concurrency;
#[cfg(unix)]
mod convergence;
#[cfg(unix)]
mod exit_status;
#[cfg(unix)]
mod full_disk;
#[cfg(unix)]
mod interruption;
mod job_summary;
mod layouts;
mod lockfile;
#[cfg(unix)]
mod mounts;
mod odd_projects;
#[cfg(unix)]
mod reasons;
#[cfg(unix)]
mod sccache;
#[cfg(target_os = "linux")]
mod sccache_workflow;
mod sources;
mod time_limits;
mod warm_start;
mod workspace;
