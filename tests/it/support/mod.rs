//! What the end-to-end tests share.

#[cfg(target_os = "linux")]
mod act;
pub(crate) mod actions_store;
mod build;
mod cache_service;
mod checkout;
#[cfg(unix)]
mod disk;
mod entry;
pub(crate) mod github;
pub(crate) mod interop;
mod published;
mod report;
mod run;
mod sandbox;
mod sccache;
mod step;
mod tree;

#[cfg(target_os = "linux")]
pub(crate) use act::{HOTCRATE, Run, Runner};
pub(crate) use build::{Build, Source};
pub(crate) use cache_service::{CacheService, Entries, Fault, Host, Op, Seen, token};
pub(crate) use checkout::{
    checkout, copy_tree, fixture, git, package, replace_in, unversioned, vendor,
};
#[cfg(unix)]
pub(crate) use disk::{SmallDisk, fill};
pub(crate) use entry::{entries_of_store, entry_file, libraries, members};
pub(crate) use published::{HEXYL, JUST, Published};
pub(crate) use report::{Report, read_report};
pub(crate) use run::{Finished, Hotcrate};
pub(crate) use sandbox::Sandbox;
pub(crate) use sccache::real_sccache;
pub(crate) use step::{Step, Stepped};
pub(crate) use tree::{Tree, staging_under};
