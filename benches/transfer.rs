//! Saving to and restoring from the cache service, against GitHub's own client: `cargo bench --bench transfer -- [--binary FILE]
//! [--tree DIR] [--rounds N]`.
//!
//! Both sides move the same directory through the same service on this machine, as processes of their own and in turns;
//! medians are compared. Ours is the program itself, as a step of a workflow has it: `--binary` names the one that is shipped
//! (`dist/bin/<target>/hotcrate`), and without it this build's is taken. The directory is one of its tier `extra`, so both pack
//! it as it is. Each run has a workspace of its own, with the smallest project of the tests. The service is the fake of the tests,
//! in this process. npm's `@actions/cache` is taken from `<target>/tools/interop`, where `tests/run` installs it. Without `--tree`,
//! the tree of the benchmark `archive` is used.
//!
//! The last row is a whole job of which nothing is stored: both halves of the action's step, as the runner starts them.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/it/support/cache_service/mod.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod cache_service;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use cache_service::{CacheService, token};
use hotcrate::{environment::Environment, process::user_command};

const MAIN: &str = "refs/heads/main";
/// The directory that is moved, in the workspace.
const DATA: &str = "data";
/// The files that a step writes to for the runner.
const STEP_FILES: [&str; 4] = ["OUTPUT", "STATE", "ENV", "STEP_SUMMARY"];
/// More than a run takes, page cache included.
const TOUCHED_BYTES: usize = 3 << 30;
/// Between two looks at the memory of a process.
const LOOK: Duration = Duration::from_millis(2);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let target = Environment::of_process()
        .path("CARGO_TARGET_DIR")
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let mut tree = target.join("bench/tree");
    let mut binary = PathBuf::from(env!("CARGO_BIN_EXE_hotcrate"));
    let mut rounds = 5;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--binary" => binary = rest.next().context("--binary needs a file")?.into(),
            "--tree" => tree = rest.next().context("--tree needs a directory")?.into(),
            "--rounds" => rounds = rest.next().context("--rounds needs a number")?.parse()?,
            other => {
                bail!("unknown argument {other}: expected --binary FILE, --tree DIR or --rounds N")
            }
        }
    }
    ensure!(
        tree.is_dir(),
        "{} is missing: run `cargo bench --bench archive` first, or name a --tree",
        tree.display()
    );
    let module = target.join("tools/interop/node_modules/@actions/cache/lib/cache.js");
    ensure!(
        module.is_file(),
        "{} is missing: tests/run installs it",
        module.display()
    );
    // Without it, their client takes gzip, which is slower.
    user_command("zstd".as_ref())
        .arg("--version")
        .output()
        .context("zstd is missing, which @actions/cache packs with")?;
    let binary = fs_err::canonicalize(binary)?;
    Bench::new(&target.join("bench/transfer"), &tree, binary, module)?.compare(rounds)
}

/// What one run took.
#[derive(Clone, Copy, Default)]
struct Run {
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: u64,
}

const ROWS: [&str; 5] = [
    "@actions/cache save",
    "hotcrate save",
    "@actions/cache restore",
    "hotcrate restore",
    "nothing is found",
];

/// What makes the command of one side: of a verb, a key and a workspace.
type Verb = fn(&Bench, &str, &str, &Path) -> Command;

struct Bench {
    directory: PathBuf,
    tree: PathBuf,
    tree_bytes: u64,
    binary: PathBuf,
    module: PathBuf,
    service: CacheService,
}

impl Bench {
    /// Gets ready in `directory`, which is emptied.
    fn new(
        directory: &Path,
        tree: &Path,
        binary: PathBuf,
        module: PathBuf,
    ) -> anyhow::Result<Self> {
        if directory.exists() {
            fs_err::remove_dir_all(directory)?;
        }
        for name in [
            "temporary",
            "home",
            "cargo-home",
            "workspaces",
            "action/dist/bin",
        ] {
            fs_err::create_dir_all(directory.join(name))?;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        // The launcher with the binary beside it.
        let action = directory.join("action/dist");
        for name in ["launcher.cjs", "main.cjs", "post.cjs"] {
            fs_err::copy(root.join("dist").join(name), action.join(name))?;
        }
        let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        fs_err::create_dir(action.join("bin").join(&target))?;
        fs_err::copy(&binary, action.join("bin").join(target).join("hotcrate"))?;
        fs_err::write(
            directory.join("event.json"),
            r#"{"repository": {"default_branch": "main"}}"#,
        )?;
        Ok(Self {
            tree_bytes: weigh(tree)?,
            directory: directory.to_owned(),
            tree: tree.to_owned(),
            binary,
            module,
            service: CacheService::start(),
        })
    }

    fn compare(&self, rounds: usize) -> anyhow::Result<()> {
        let mut runs = vec![Vec::new(); ROWS.len()];
        let mut sizes = [0, 0];
        for round in 0..rounds {
            let key = format!("round-{round}");
            let workspace = self.workspace(&format!("{key}-save"))?;
            copy(&self.tree, &workspace.join(DATA))?;
            runs[0].push(measure(&mut self.theirs("save", &key, &workspace))?);
            runs[1].push(measure(&mut self.ours("save", &key, &workspace))?);
            for (row, command) in [(2, Self::theirs as Verb), (3, Self::ours)] {
                let workspace = self.workspace(&format!("{key}-restore-{row}"))?;
                runs[row].push(measure(&mut command(self, "restore", &key, &workspace))?);
                ensure!(
                    weigh(&workspace.join(DATA))? == self.tree_bytes,
                    "{} did not bring everything",
                    ROWS[row]
                );
                empty_files(&workspace)?;
            }
            empty_files(&workspace)?;
            let workspace = self.workspace(&format!("{key}-nothing"))?;
            runs[4].push(self.nothing_found(&workspace)?);
            let newest = self.service.entries().into_iter().rev().take(2);
            for (size, entry) in sizes.iter_mut().rev().zip(newest) {
                *size = entry.size.unwrap_or(0);
            }
            self.service.lose_bytes();
            println!("round {round} is over");
        }
        print_table(&runs, self.tree_bytes, sizes);
        fs_err::remove_dir_all(&self.directory)?;
        Ok(())
    }

    /// A workspace of its own for each run: on a file system from which a tree was deleted a moment ago, ext4 looks in vain
    /// for numbers of files that it may use again (`recently_deleted`), which no runner has to wait for.
    fn workspace(&self, name: &str) -> anyhow::Result<PathBuf> {
        let workspace = self.directory.join("workspaces").join(name);
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/small");
        copy(&fixture, &workspace)?;
        Ok(workspace)
    }

    fn theirs(&self, verb: &str, key: &str, workspace: &Path) -> Command {
        let mut command = self.step("node", workspace);
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/interop/client.mjs"
            ))
            .arg(&self.module)
            .args([verb, key, DATA]);
        command
    }

    /// Entries of one round are told from those of another by the name of the job. Each has a machine of its own: a save goes by
    /// what the restore before it left there.
    fn ours(&self, verb: &str, key: &str, workspace: &Path) -> Command {
        let mut command = self.step(&self.binary, workspace);
        command
            .env("HOME", self.directory.join("home").join(verb).join(key))
            .env(
                "RUNNER_TEMP",
                self.directory.join("temporary").join(verb).join(key),
            )
            .args([verb, "--strict", "--store=actions", "--tiers=extra"])
            .args(["--cache-directories", DATA, "--shared-key", key])
            .args(["--save-if=true", "--quiet"]);
        command
    }

    /// Both halves of a step, in a job that finds nothing and builds nothing.
    fn nothing_found(&self, workspace: &Path) -> anyhow::Result<Run> {
        let half = |name: &str| {
            let mut command = self.step("node", workspace);
            command
                .arg(self.directory.join("action/dist").join(name))
                .env("INPUT_SHARED-KEY", "nobody")
                .env("INPUT_SCCACHE", "false")
                .env("INPUT_STRICT", "true");
            for file in STEP_FILES {
                command.env(format!("GITHUB_{file}"), self.directory.join(file));
            }
            command
        };
        // A runner has made the files before the step begins.
        for file in STEP_FILES {
            fs_err::write(self.directory.join(file), "")?;
        }
        let main = measure(&mut half("main.cjs"))?;
        let mut post = half("post.cjs");
        let written = fs_err::read_to_string(self.directory.join("STATE"))?;
        let handover = written.lines().nth(1).context("there is no state")?;
        let post = measure(post.env("STATE_handover", handover))?;
        Ok(Run {
            seconds: main.seconds + post.seconds,
            cpu_seconds: main.cpu_seconds + post.cpu_seconds,
            peak_bytes: main.peak_bytes.max(post.peak_bytes),
        })
    }

    /// A program in the workspace with what a runner sets.
    fn step(&self, program: impl Into<OsString>, workspace: &Path) -> Command {
        let mut command = user_command(&program.into());
        command
            .current_dir(workspace)
            .envs(self.service.variables(2, &token(&[(MAIN, 3)])))
            .env("GITHUB_SERVER_URL", "https://github.com")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_EVENT_NAME", "pull_request")
            .env("GITHUB_EVENT_PATH", self.directory.join("event.json"))
            .env("GITHUB_REF", "refs/pull/1/merge")
            .env("GITHUB_WORKSPACE", workspace)
            .env("RUNNER_TEMP", self.directory.join("temporary"))
            .env("HOME", self.directory.join("home"))
            .env("CARGO_HOME", self.directory.join("cargo-home"));
        // rustup's proxies look below HOME.
        let process = Environment::of_process();
        if let Some(home) = process.path("HOME") {
            let rustup = process.path("RUSTUP_HOME");
            command.env(
                "RUSTUP_HOME",
                rustup.unwrap_or_else(|| home.join(".rustup")),
            );
        }
        command
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let status = user_command("cp".as_ref())
        .arg("-a")
        .args([from, to])
        .status()?;
    ensure!(status.success(), "{} was not copied", from.display());
    Ok(())
}

/// Takes the content out of all files below `directory`. They stay, for the next run to find no numbers of deleted files.
fn empty_files(directory: &Path) -> anyhow::Result<()> {
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry?;
        if entry.file_type().is_file() {
            fs_err::File::create(entry.path())?;
        }
    }
    Ok(())
}

/// Runs a command with the disk quiet, and with memory that this machine has: to a virtual one, its host gives each page when it is
/// first touched, which takes longer than what is measured, and takes it back when it lies idle.
fn measure(command: &mut Command) -> anyhow::Result<Run> {
    let _quiet = user_command("sync".as_ref()).status();
    drop(std::hint::black_box(vec![1_u8; TOUCHED_BYTES]));
    let cpu_before = cpu_of_children();
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("failed to start {command:?}"))?;
    let stdout = child.stdout.take().context("it is piped")?;
    let reader = std::thread::spawn(move || std::io::read_to_string(stdout));
    let mut peak_bytes = 0;
    let status = loop {
        peak_bytes = peak_memory(&child).unwrap_or(peak_bytes);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    let seconds = start.elapsed().as_secs_f64();
    let stdout = reader.join().map_err(|_| anyhow::anyhow!("no output"))??;
    ensure!(status.success(), "{command:?} failed");
    ensure!(
        !stdout
            .lines()
            .any(|line| matches!(line, "RESULT null" | "RESULT -1")),
        "{command:?} did not do it: {stdout}"
    );
    Ok(Run {
        seconds,
        cpu_seconds: cpu_of_children() - cpu_before,
        peak_bytes,
    })
}

/// The most memory that a process ever had, in bytes, where the system tells: not what it started itself.
fn peak_memory(child: &Child) -> Option<u64> {
    let status = fs_err::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes of all files, each name of them.
fn weigh(tree: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in walkdir::WalkDir::new(tree) {
        let metadata = entry?.metadata()?;
        if metadata.is_file() {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}

/// User and system seconds of all children that have ended; 0 where the system does not tell.
fn cpu_of_children() -> f64 {
    let ticks = || {
        let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
        // Behind the name, which may hold anything: cutime and cstime are the 14th and 15th from there (proc(5)).
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(13);
        let (user, system): (f64, f64) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(user + system)
    };
    ticks().unwrap_or(0.0) / 100.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn print_table(runs: &[Vec<Run>], tree_bytes: u64, sizes: [u64; 2]) {
    let mega = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "tree: {:.0} MB; entries: {:.1} MB theirs, {:.1} MB ours; medians of {} rounds",
        mega(tree_bytes),
        mega(sizes[0]),
        mega(sizes[1]),
        runs[0].len()
    );
    println!(
        "{:<24}{:>10}{:>10}{:>10}",
        "", "seconds", "CPU s", "peak MB"
    );
    let seconds = |row: usize| median(runs[row].iter().map(|run| run.seconds));
    for (row, name) in ROWS.iter().enumerate() {
        let cpu = median(runs[row].iter().map(|run| run.cpu_seconds));
        let peak = runs[row].iter().map(|run| run.peak_bytes).max();
        let peak = match peak {
            Some(bytes) if bytes > 0 => format!("{:.0}", mega(bytes)),
            _ => "-".to_owned(),
        };
        println!("{name:<24}{:>10.2}{cpu:>10.2}{peak:>10}", seconds(row));
    }
    println!(
        "hotcrate saves {:.1} times as fast, and restores {:.1} times as fast",
        seconds(0) / seconds(1),
        seconds(2) / seconds(3)
    );
}
