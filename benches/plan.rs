//! How long `hotcrate plan` takes on a workspace of 300 locked dependencies, Cargo's own `metadata` call aside.
//!
//! `cargo bench --bench plan`. Needs crates.io once, for the lockfile; nothing is downloaded or compiled. The two
//! commands are run in turns, so that whatever else the machine does falls on both, and medians are compared.

use std::{
    error::Error,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fs_err as fs;
use hotcrate::{environment::Environment, process::user_command};

const ROUNDS: usize = 21;
const FEWEST_DEPENDENCIES: usize = 300;
const LIMIT: Duration = Duration::from_millis(150);

/// Packages with large trees: together more than [`FEWEST_DEPENDENCIES`].
const DEPENDENCIES: &str = r#"
aws-sdk-s3 = "1"
axum = "0.8"
clap = { version = "4", features = ["derive"] }
regex = "1"
reqwest = "0.12"
serde_json = "1"
sqlx = { version = "0.8", features = ["runtime-tokio", "postgres", "sqlite"] }
tokio = { version = "1", features = ["full"] }
tracing-subscriber = "0.3"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = tempfile::tempdir()?;
    let workspace = sandbox.path().join("workspace");
    let dependencies = write_workspace(sandbox.path(), &workspace)?;

    let mut metadata = command(sandbox.path(), &workspace, "cargo");
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
    let mut plan = command(sandbox.path(), &workspace, env!("CARGO_BIN_EXE_hotcrate"));
    plan.arg("plan")
        .arg("--store")
        .arg(sandbox.path().join("store"));
    time(&mut metadata)?;
    time(&mut plan)?;

    let mut times = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        times.0.push(time(&mut metadata)?);
        times.1.push(time(&mut plan)?);
    }
    let (metadata, plan) = (median(times.0), median(times.1));
    let own = plan.saturating_sub(metadata);
    let verdict = if own < LIMIT { "within" } else { "OVER" };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{dependencies} locked dependencies, medians of {ROUNDS}"
    )?;
    writeln!(out, "| what | ms |\n|---|---|")?;
    for (what, time) in [
        ("hotcrate plan", plan),
        ("cargo metadata --no-deps", metadata),
        ("difference", own),
    ] {
        writeln!(out, "| {what} | {:.1} |", time.as_secs_f64() * 1000.0)?;
    }
    writeln!(out, "{verdict} the limit of {} ms", LIMIT.as_millis())?;
    Ok(())
}

/// Writes a workspace of a few members and locks it; returns how many packages from registries it has.
fn write_workspace(sandbox: &Path, workspace: &Path) -> Result<usize, Box<dyn Error>> {
    let members = ["alpha", "beta", "gamma", "delta"];
    for name in members {
        let member = workspace.join(name);
        fs::create_dir_all(member.join("src"))?;
        fs::write(member.join("src/lib.rs"), "//! Nothing.\n")?;
        fs::write(
            member.join("Cargo.toml"),
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]{DEPENDENCIES}"
            ),
        )?;
    }
    fs::write(
        workspace.join("Cargo.toml"),
        format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n"),
    )?;
    let locked = command(sandbox, workspace, "cargo")
        .args(["generate-lockfile", "--quiet"])
        .status()?;
    if !locked.success() {
        return Err("cargo could not lock the workspace".into());
    }
    let lockfile = fs::read_to_string(workspace.join("Cargo.lock"))?;
    let dependencies = lockfile.matches("\nchecksum = ").count();
    if dependencies < FEWEST_DEPENDENCIES {
        return Err(format!("only {dependencies} dependencies").into());
    }
    Ok(dependencies)
}

/// `program` in `workspace`, with a home and a CARGO_HOME in the sandbox.
fn command(sandbox: &Path, workspace: &Path, program: &str) -> Command {
    let process = Environment::of_process();
    let rustup_home = process.path("RUSTUP_HOME").or_else(|| {
        let home = process.path("HOME")?.join(".rustup");
        home.is_dir().then_some(home)
    });
    let mut command = user_command(program.as_ref());
    for (name, _) in process.iter() {
        if ["CARGO", "RUST", "GITHUB_", "HOTCRATE_", "XDG_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    if let Some(rustup_home) = rustup_home {
        command.env("RUSTUP_HOME", rustup_home);
    }
    command
        .env("HOME", sandbox)
        .env("CARGO_HOME", sandbox.join("cargo-home"))
        .current_dir(workspace)
        .stdin(Stdio::null());
    command
}

fn time(command: &mut Command) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    let output = command.output()?;
    let elapsed = start.elapsed();
    if output.status.success() {
        Ok(elapsed)
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
