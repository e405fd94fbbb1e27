//! Saving to and restoring from the cache service, against GitHub's own client: `cargo bench --bench transfer -- [--tree DIR]
//! [--rounds N]`.
//!
//! Both sides move the same tree through the same service on this machine, as processes of their own and in turns; medians
//! are compared. The service is the fake of the tests, in this process. npm's `@actions/cache` is taken from
//! `<target>/tools/interop`, where `tests/run` installs it. Without `--tree`, the tree of the benchmark `archive` is used.
//!
//! The last row is a whole `hotcrate restore` of a project of which nothing is stored.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/it/support/cache_service/mod.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod cache_service;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use cache_service::{CacheService, token};
use hotcrate::{
    archive::{
        Compression, Group, Member, PackOptions, UnpackOptions, budget::ByteBudget, open, pack,
        path::RelativePath, unpack,
    },
    deadline::Deadline,
    environment::Environment,
    process::user_command,
    store::{ActionsOptions, ActionsStore, Reservation, ServiceAddress, Store as _},
    stream::Silent,
};

const MAIN: &str = "refs/heads/main";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["--child", step, key, directory] = arguments[..] {
        return child(step, key, Path::new(directory));
    }
    let target = Environment::of_process()
        .path("CARGO_TARGET_DIR")
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let mut tree = target.join("bench/tree");
    let mut rounds = 5;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            // Cargo's own.
            "--bench" => {}
            "--tree" => tree = rest.next().context("--tree needs a directory")?.into(),
            "--rounds" => rounds = rest.next().context("--rounds needs a number")?.parse()?,
            other => bail!("unknown argument {other}: expected --tree DIR or --rounds N"),
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
    compare(&tree, &module, &target.join("bench/transfer"), rounds)
}

/// Saves or restores in this process, and prints its peak memory in bytes.
fn child(step: &str, key: &str, directory: &Path) -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let address = ServiceAddress::read(&environment)?;
    let store = ActionsStore::open(ActionsOptions::new(address, "a".repeat(64)), &environment)?;
    let budget = ByteBudget::new(ByteBudget::DEFAULT_BYTES);
    let root = RelativePath::new("t")?;
    match step {
        "save" => {
            let Reservation::Granted(mut upload) = store.begin(key, Deadline::never())? else {
                bail!("the key is taken");
            };
            let groups = groups(directory, &root)?;
            let options = PackOptions::new(&budget);
            pack(b"{}", &groups, &options, upload.as_mut(), &Silent)?;
            ensure!(upload.finish()?, "the key is taken");
        }
        "restore" => {
            let found = store.look_up(key, &[], Deadline::never())?;
            let source = store.open(&found.context("it was saved")?, Deadline::never())?;
            let archive = open(source.as_ref())?;
            let roots = BTreeMap::from([(root, directory.to_owned())]);
            let options = UnpackOptions::new(&budget);
            let all = |_: &RelativePath| true;
            unpack(&archive, source.as_ref(), &roots, &all, &options, &Silent)?;
        }
        other => bail!("unknown step {other}"),
    }
    println!("{}", peak_memory().unwrap_or(0));
    Ok(())
}

/// The whole tree, with its executables together, as hotcrate packs a target directory.
fn groups(tree: &Path, root: &RelativePath) -> anyhow::Result<[Group; 2]> {
    let mut usual = Vec::new();
    let mut executables = Vec::new();
    for entry in walkdir::WalkDir::new(tree).sort_by_file_name() {
        let entry = entry?;
        let within = entry.path().strip_prefix(tree)?;
        let name = if within.as_os_str().is_empty() {
            root.clone()
        } else {
            root.join(&RelativePath::from_native(within)?)
        };
        let member = Member {
            name,
            source: entry.path().to_owned(),
        };
        let is_large = entry.file_type().is_file() && entry.metadata()?.len() > 1 << 20;
        if is_large && entry.path().extension().is_none() {
            executables.push(member);
        } else {
            usual.push(member);
        }
    }
    Ok([
        Group {
            compression: Compression::Normal,
            members: usual,
        },
        Group {
            compression: Compression::LongWindow,
            members: executables,
        },
    ])
}

/// The most memory that this process ever had, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
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

fn compare(tree: &Path, module: &Path, bench: &Path, rounds: usize) -> anyhow::Result<()> {
    if bench.exists() {
        fs_err::remove_dir_all(bench)?;
    }
    let workspace = bench.join("workspace");
    let temporary = bench.join("temporary");
    let ours = bench.join("ours");
    for directory in [&workspace, &temporary, &ours] {
        fs_err::create_dir_all(directory)?;
    }
    let project = empty_project(bench)?;
    let service = CacheService::start();
    let variables = service.variables(2, &token(&[(MAIN, 3)]));
    let us = std::env::current_exe()?;
    let measure = |command: &[&OsStr], directory: &Path| {
        measure(command, directory, &variables, &workspace, &temporary)
    };
    let mut runs = vec![Vec::new(); ROWS.len()];
    let mut sizes = [0, 0];
    for round in 0..rounds {
        let key = format!("round-{round}");
        let (key, data) = (OsStr::new(&key), workspace.join("data"));
        // Theirs saves a directory by its name, and restores it under the same.
        copy(tree, &data)?;
        let theirs = |verb: &'static str| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/client.mjs");
            ["node", script]
                .map(OsStr::new)
                .into_iter()
                .chain([
                    module.as_os_str(),
                    OsStr::new(verb),
                    key,
                    OsStr::new("data"),
                ])
                .collect::<Vec<_>>()
        };
        let our_step = |step: &'static str, directory| {
            vec![
                us.as_os_str(),
                OsStr::new("--child"),
                OsStr::new(step),
                key,
                directory,
            ]
        };
        runs[0].push(measure(&theirs("save"), &workspace)?);
        runs[1].push(measure(&our_step("save", data.as_os_str()), bench)?);
        fs_err::remove_dir_all(&data)?;
        runs[2].push(measure(&theirs("restore"), &workspace)?);
        runs[3].push(measure(&our_step("restore", ours.as_os_str()), bench)?);
        ensure!(
            weigh(&data)? == weigh(tree)?,
            "theirs did not bring everything"
        );
        ensure!(
            weigh(&ours)? == weigh(tree)?,
            "ours did not bring everything"
        );
        runs[4].push(nothing_found(&project, &measure)?);
        for (size, entry) in sizes
            .iter_mut()
            .zip(service.entries().iter().rev().take(2).rev())
        {
            *size = entry.size.unwrap_or(0);
        }
        fs_err::remove_dir_all(&data)?;
        fs_err::remove_dir_all(&ours)?;
        fs_err::create_dir(&ours)?;
        service.lose_bytes();
        println!("round {round} is over");
    }
    print_table(&runs, weigh(tree)?, sizes);
    fs_err::remove_dir_all(bench)?;
    Ok(())
}

/// `hotcrate restore` in a project of which nothing is stored.
fn nothing_found(
    project: &Path,
    measure: &impl Fn(&[&OsStr], &Path) -> anyhow::Result<Run>,
) -> anyhow::Result<Run> {
    let hotcrate = OsStr::new(env!("CARGO_BIN_EXE_hotcrate"));
    let command = [hotcrate, OsStr::new("restore"), OsStr::new("--strict")];
    measure(&command, project)
}

/// A copy of the smallest project of the tests.
fn empty_project(bench: &Path) -> anyhow::Result<PathBuf> {
    let project = bench.join("project");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/small");
    copy(Path::new(fixture), &project)?;
    Ok(project)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let status = user_command(OsStr::new("cp"))
        .arg("-a")
        .args([from, to])
        .status()?;
    ensure!(status.success(), "{} was not copied", from.display());
    Ok(())
}

/// Runs a command with what a runner sets, and the disk quiet.
fn measure(
    command: &[&OsStr],
    directory: &Path,
    variables: &[(&str, String)],
    workspace: &Path,
    temporary: &Path,
) -> anyhow::Result<Run> {
    let (program, arguments) = command.split_first().context("there is a program")?;
    let _quiet = user_command(OsStr::new("sync")).status();
    let cpu_before = cpu_of_children();
    let start = Instant::now();
    let output = user_command(program)
        .args(arguments)
        .current_dir(directory)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("GITHUB_SERVER_URL", "https://github.com")
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKSPACE", workspace)
        .env("RUNNER_TEMP", temporary)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to start {}", program.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{command:?} failed");
    let stdout = String::from_utf8(output.stdout)?;
    ensure!(
        !stdout
            .lines()
            .any(|line| matches!(line, "RESULT null" | "RESULT -1")),
        "{command:?} did not do it: {stdout}"
    );
    Ok(Run {
        seconds,
        cpu_seconds: cpu_of_children() - cpu_before,
        peak_bytes: stdout.trim().parse().unwrap_or(0),
    })
}

/// Bytes of all files, each inode once where the system has them.
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
