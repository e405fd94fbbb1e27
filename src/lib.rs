//! hotcrate keeps Rust builds warm: it stores what Cargo downloaded and compiled, and puts it back.
//!
//! ```text
//!   cli ─▶ commands ─▶ engine ─┬─▶ project   what is built here (Cargo.lock, manifests, toolchain)
//!                              ├─▶ key       which entry fits                              [pure]
//!                              ├─▶ unit      what lies in a target directory
//!                              ├─▶ tier      what belongs to which entry
//!                              ├─▶ freshness which sources may keep their times after a checkout
//!                              ├─▶ prune     what is not worth packing                     [pure]
//!                              ├─▶ rebuild   why units were compiled again                 [pure]
//!                              ├─▶ policy    whether to save                               [pure]
//!                              ├─▶ archive   packing and unpacking
//!                              ├─▶ place     putting in place, all or nothing
//!                              ├─▶ bucket    target directories outside of checkouts
//!                              ├─▶ artifact  what a command builds from, and what it built
//!                              ├─▶ store     where entries live
//!                              ├─▶ inventory what a repository holds, and what to delete  [pure]
//!                              ├─▶ clean     what is of no more use on this machine       [pure]
//!                              ├─▶ github    how to ask a repository, and to delete from it
//!                              ├─▶ sccache   a wrapper around the compiler, and its server
//!                              └─▶ report    what people are told                          [pure]
//! ```
//!
//! Dependencies point one way: words (`key::digest`, `archive::path`, `deadline`, `stream`, `tier::TierName`) ← pure modules
//! ← modules with effects ← `engine` ← `commands` ← `cli`. Modules with effects do not know each other: an
//! archive and a store meet as the byte streams of [`stream`], in `engine`. `tests/it/architecture.rs` holds this.
//!
//! Nothing that goes wrong in the cache may fail a job: errors are typed where they arise, and become a warning in
//! [`fail_open`] alone.

pub mod archive;
pub mod artifact;
pub mod bucket;
pub mod bucket_settings;
pub mod clean;
pub mod cli;
pub mod commands;
pub mod console;
pub mod deadline;
pub mod engine;
pub mod entry;
pub mod environment;
pub mod fail_open;
pub mod files;
pub mod freshness;
pub mod github;
pub mod inventory;
pub mod key;
pub mod network;
pub mod place;
pub mod platform_directory;
pub mod policy;
pub mod process;
pub mod project;
pub mod prune;
pub mod rebuild;
pub mod report;
pub mod repository_settings;
pub mod runner;
pub mod sccache;
pub mod settings;
pub mod state;
pub mod store;
pub mod stream;
pub mod tier;
pub mod time_limits;
pub mod unit;
