//! The hotcrate binary: reads the command line and exits with a status.

use std::process::ExitCode;

use clap::Parser as _;
use hotcrate::{cli::Cli, commands, environment::Environment};

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(commands::dispatch(&cli, &Environment::of_process()))
}
