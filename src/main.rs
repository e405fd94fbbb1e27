//! The hotcrate binary: reads the command line and exits with a status.

use std::process::ExitCode;

use clap::Parser as _;
use hotcrate::{cli::Cli, commands, environment::Environment};

/// musl's own has one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(commands::dispatch(&cli, &Environment::of_process()))
}
