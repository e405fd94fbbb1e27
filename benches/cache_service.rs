//! The cache service of the tests as a program of its own, for benchmarks that are scripts.
//!
//! Started with `--serve`, it prints what a runner sets for an action in versions 2 and 1, one `NAME=value` a line, and an empty line. To every
//! line on its standard input it answers with the number of its entries and their bytes. It ends when that input does.
//! Without `--serve` it says so and ends, as `cargo bench` starts every benchmark.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/it/support/cache_service/mod.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod cache_service;

use std::io::{BufRead as _, Write as _};

use cache_service::{CacheService, token};

fn main() -> std::io::Result<()> {
    if !std::env::args().any(|argument| argument == "--serve") {
        println!("no benchmark by itself: benches/peers.sh starts it with --serve");
        return Ok(());
    }
    let service = CacheService::start();
    let mut output = std::io::stdout().lock();
    let token = token(&[("refs/heads/main", 3)]);
    let mut variables = service.variables(2, &token);
    let of_version_1 = service.variables(1, &token).into_iter();
    variables.extend(of_version_1.filter(|(name, _)| *name == "ACTIONS_CACHE_URL"));
    for (name, value) in variables {
        writeln!(output, "{name}={value}")?;
    }
    writeln!(output)?;
    output.flush()?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let entries = service.entries();
        let bytes: u64 = entries.iter().filter_map(|entry| entry.size).sum();
        writeln!(output, "{} {bytes}", entries.len())?;
        output.flush()?;
    }
    Ok(())
}
