//! How long `hotcrate artifact` takes for a release build of a published project: the first time, and when nothing changed.
//!
//! `cargo bench --bench artifact`. Needs crates.io. `HOTCRATE_BENCH_CHECKOUT` and `HOTCRATE_BENCH_PATH` name another project's
//! git checkout, which is cloned, and what its release build makes.

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
const GOAL: Duration = Duration::from_millis(100);
/// A command runner with build scripts, procedural macros and C.
const PROJECT: (&str, &str) = ("just", "1.59.0");
const BUILT: &str = "target/release/just";

fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = tempfile::tempdir()?;
    let sandbox = fs::canonicalize(sandbox.path())?;
    let environment = Environment::of_process();
    let clone = sandbox.join("clone");
    let mut built = BUILT.to_owned();
    match environment.path("HOTCRATE_BENCH_CHECKOUT") {
        Some(checkout) => {
            let mut git = command(&sandbox, &sandbox, "git");
            time(
                git.args(["clone", "--quiet", "--no-hardlinks"])
                    .arg(checkout)
                    .arg(&clone),
            )?;
            let path = environment.text("HOTCRATE_BENCH_PATH");
            path.ok_or("HOTCRATE_BENCH_PATH is not set")?
                .clone_into(&mut built);
        }
        None => fetch(&sandbox, &clone)?,
    }
    let files = command(&sandbox, &clone, "git").arg("ls-files").output()?;
    let files = String::from_utf8(files.stdout)?.lines().count();

    let artifact = || {
        let mut artifact = command(&sandbox, &clone, env!("CARGO_BIN_EXE_hotcrate"));
        artifact
            .args(["artifact", "--paths", &built, "--store"])
            .arg(sandbox.join("store"))
            .args(["--", "cargo", "build", "--release", "--locked", "--quiet"]);
        artifact
    };
    time(command(&sandbox, &clone, "cargo").args(["fetch", "--locked", "--quiet"]))?;
    let first = time(&mut artifact())?;
    let bytes = fs::metadata(clone.join(&built))?.len();
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        there.push(time(&mut artifact())?);
        fs::remove_file(clone.join(&built))?;
        missing.push(time(&mut artifact())?);
    }
    let (there, missing) = (median(there), median(missing));
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{files} tracked files, {bytes} bytes built; medians of {ROUNDS}"
    )?;
    writeln!(out, "| call | ms |\n|---|---|")?;
    for (what, time) in [
        ("the first", first),
        ("another, with what was built in place", there),
        ("another, without it", missing),
    ] {
        writeln!(out, "| {what} | {:.0} |", time.as_secs_f64() * 1000.0)?;
    }
    let verdict = if there.max(missing) < GOAL {
        "within"
    } else {
        "OVER"
    };
    writeln!(out, "{verdict} the goal of {} ms", GOAL.as_millis())?;
    Ok(())
}

/// Lets Cargo fetch the project, and makes a git checkout of it.
fn fetch(sandbox: &Path, clone: &Path) -> Result<(), Box<dyn Error>> {
    let (name, version) = PROJECT;
    let dependent = sandbox.join("dependent");
    fs::create_dir_all(dependent.join("src"))?;
    fs::write(dependent.join("src/lib.rs"), "")?;
    fs::write(
        dependent.join("Cargo.toml"),
        format!(
            "[package]\nname = \"dependent\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{name} = \"={version}\"\n"
        ),
    )?;
    time(command(sandbox, &dependent, "cargo").args(["fetch", "--quiet"]))?;
    let index = fs::read_dir(sandbox.join("cargo-home/registry/src"))?
        .next()
        .ok_or("cargo fetched nothing")??;
    let source = index.path().join(format!("{name}-{version}"));
    for entry in walkdir::WalkDir::new(&source) {
        let entry = entry?;
        let to = clone.join(entry.path().strip_prefix(&source)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    fs::write(clone.join(".gitignore"), "/target\n")?;
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            "commit",
            "--quiet",
            "-m",
            "x",
        ],
    ] {
        time(command(sandbox, clone, "git").args(arguments))?;
    }
    Ok(())
}

/// `program` in `directory`, with a home and a CARGO_HOME in the sandbox.
fn command(sandbox: &Path, directory: &Path, program: &str) -> Command {
    let process = Environment::of_process();
    let rustup_home = process.path("RUSTUP_HOME").or_else(|| {
        let home = process.path("HOME")?.join(".rustup");
        home.is_dir().then_some(home)
    });
    let mut command = user_command(program.as_ref());
    for (name, _) in process.iter() {
        if ["CARGO", "RUST", "GITHUB_", "HOTCRATE_", "XDG_", "GIT_"]
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
        .current_dir(directory)
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
