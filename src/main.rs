//! The hotcrate binary: reads the command line and exits with a status. Under the name of sccache it is what a build
//! runs around its compiler.

use std::process::ExitCode;

use clap::Parser as _;
use hotcrate::{cli::Cli, commands, environment::Environment};

/// musl's own has one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let environment = Environment::of_process();
    let mut arguments = std::env::args_os();
    if commands::is_wrapper(arguments.next().as_deref(), &environment) {
        let arguments: Vec<_> = arguments.collect();
        return ExitCode::from(commands::wrap(&arguments, &environment));
    }
    let cli = Cli::parse();
    ExitCode::from(commands::dispatch(&cli, &environment))
}
