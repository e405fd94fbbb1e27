//! The archive against `tar` and `zstd`: `cargo bench --bench archive -- [--tree DIR] [--rounds N]`.
//!
//! Both sides run as processes of their own, in turns, and the medians are compared. Without `--tree` a target directory
//! of well over 500 MB is built once from real crates, with a CARGO_HOME of its own, under `<target>/bench`.
//!
//! CPU seconds are the more trustworthy column on a machine that does other things as well.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use hotcrate::{
    archive::{
        Compression, Group, Member, PackOptions, UnpackOptions, budget::ByteBudget, open, pack,
        path::RelativePath, unpack,
    },
    environment::Environment,
    process::user_command,
    stream::{ByteSink, RangedSource, Silent, StreamError},
};

/// What the tree must weigh to say anything.
const LEAST_BYTES: u64 = 500 << 20;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["--child", step, from, to] = arguments[..] {
        return child(step, Path::new(from), Path::new(to));
    }
    let mut tree = None;
    let mut rounds = 5;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            // Cargo's own.
            "--bench" => {}
            "--tree" => tree = rest.next().map(PathBuf::from),
            "--rounds" => rounds = rest.next().context("--rounds needs a number")?.parse()?,
            other => bail!("unknown argument {other}: expected --tree DIR or --rounds N"),
        }
    }
    let bench = Environment::of_process()
        .path("CARGO_TARGET_DIR")
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"))
        .join("bench");
    let tree = match tree {
        Some(tree) => tree,
        None => example_tree(&bench)?,
    };
    compare(&tree, &bench, rounds)
}

/// Packs or unpacks in this process, and prints its peak memory in bytes.
fn child(step: &str, from: &Path, to: &Path) -> anyhow::Result<()> {
    let budget = ByteBudget::new(ByteBudget::DEFAULT_BYTES);
    let root = RelativePath::new("t")?;
    match step {
        "pack" => {
            let mut sink = FileSink(fs_err::File::create(to)?);
            let groups = groups(from, &root)?;
            pack(
                b"{}",
                &groups,
                &PackOptions::new(&budget),
                &mut sink,
                &Silent,
            )?;
        }
        "unpack" => {
            let source = FileSource::open(from)?;
            let archive = open(&source)?;
            let roots = BTreeMap::from([(root, to.to_owned())]);
            let options = UnpackOptions::new(&budget);
            unpack(&archive, &source, &roots, &|_| true, &options, &Silent)?;
        }
        other => bail!("unknown step {other}"),
    }
    println!("{}", peak_memory().unwrap_or(0));
    Ok(())
}

/// The whole tree, with its executables together.
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

struct FileSink(fs_err::File);

impl ByteSink for FileSink {
    fn write_all(&mut self, bytes: Vec<u8>) -> Result<(), StreamError> {
        Ok(self.0.write_all(&bytes)?)
    }
}

struct FileSource {
    file: Mutex<fs_err::File>,
    total: u64,
}

impl FileSource {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = fs_err::File::open(path)?;
        let total = file.metadata()?.len();
        Ok(Self {
            file: Mutex::new(file),
            total,
        })
    }
}

impl RangedSource for FileSource {
    fn total(&self) -> u64 {
        self.total
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), StreamError> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let mut file = self.file.lock().map_err(|_| "another thread panicked")?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)?;
        Ok(())
    }
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
    archive_bytes: u64,
}

fn compare(tree: &Path, bench: &Path, rounds: usize) -> anyhow::Result<()> {
    let tree_bytes = weigh(tree)?;
    let out = bench.join("out");
    fs_err::create_dir_all(&out)?;
    let path = |name: &str| out.join(name).display().to_string();
    let (theirs, ours) = (path("tar.zst"), path("ours.tar.zst"));
    let (their_files, our_files) = (path("tar"), path("ours"));
    let tree_text = tree.display().to_string();
    let this = std::env::current_exe()?.display().to_string();

    let shell = |script: &str| vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let us = |step: &str, from: &str, to: &str| {
        ["--child", step, from, to]
            .iter()
            .fold(vec![this.clone()], |mut command, argument| {
                command.push((*argument).to_owned());
                command
            })
    };
    let steps = [
        (
            "tar -c | zstd -T0",
            shell(&format!(
                "tar -cf - -C '{tree_text}' . | zstd -T0 -q -f -o '{theirs}'"
            )),
        ),
        ("pack", us("pack", &tree_text, &ours)),
        (
            "zstd -d | tar -x",
            shell(&format!(
                "zstd -d -q -c '{theirs}' | tar -xf - -C '{their_files}'"
            )),
        ),
        ("unpack", us("unpack", &ours, &our_files)),
    ];
    let mut runs = vec![Vec::new(); steps.len()];
    for round in 0..rounds {
        for directory in [&their_files, &our_files] {
            if Path::new(directory).exists() {
                fs_err::remove_dir_all(directory)?;
            }
            fs_err::create_dir(directory)?;
        }
        for (number, (name, command)) in steps.iter().enumerate() {
            let mut run = measure(command)?;
            let archive = if number % 2 == 0 { &theirs } else { &ours };
            run.archive_bytes = fs_err::metadata(archive)?.len();
            println!("round {round}: {name}: {:.2} s", run.seconds);
            runs[number].push(run);
        }
    }
    fs_err::remove_dir_all(&out)?;
    print!(
        "{}",
        table(&steps.map(|(name, _)| name), &runs, tree_bytes)?
    );
    Ok(())
}

/// Bytes of all files, each inode once.
fn weigh(tree: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let mut seen = std::collections::HashSet::new();
    for entry in walkdir::WalkDir::new(tree) {
        let metadata = entry?.metadata()?;
        if metadata.is_file() && inode(&metadata).is_none_or(|inode| seen.insert(inode)) {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "not every platform has inodes")]
fn inode(metadata: &std::fs::Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(metadata))
}

#[cfg(not(unix))]
fn inode(_metadata: &std::fs::Metadata) -> Option<u64> {
    None
}

/// Runs `command` with the disk quiet.
fn measure(command: &[String]) -> anyhow::Result<Run> {
    let (program, arguments) = command.split_first().context("there is a program")?;
    let mut sync = user_command(OsStr::new("sync"));
    let _ = sync.status();
    let cpu_before = cpu_of_children();
    let start = Instant::now();
    let output = user_command(OsStr::new(program))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to start {program}"))?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{command:?} failed");
    Ok(Run {
        seconds,
        cpu_seconds: cpu_of_children() - cpu_before,
        peak_bytes: String::from_utf8(output.stdout)?
            .trim()
            .parse()
            .unwrap_or(0),
        archive_bytes: 0,
    })
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
fn table(names: &[&str], runs: &[Vec<Run>], tree_bytes: u64) -> anyhow::Result<String> {
    let mega = |bytes: u64| bytes as f64 / 1e6;
    let mut table = String::new();
    writeln!(
        table,
        "tree: {:.0} MB; medians of {} rounds",
        mega(tree_bytes),
        runs[0].len()
    )?;
    writeln!(
        table,
        "{:<20}{:>10}{:>10}{:>10}{:>12}{:>10}",
        "", "seconds", "CPU s", "MB/s", "archive MB", "peak MB"
    )?;
    for (name, runs) in names.iter().zip(runs) {
        let seconds = median(runs.iter().map(|run| run.seconds));
        let cpu_seconds = median(runs.iter().map(|run| run.cpu_seconds));
        let peak = runs.iter().map(|run| run.peak_bytes).max().unwrap_or(0);
        let archive = runs.first().map_or(0, |run| run.archive_bytes);
        writeln!(
            table,
            "{name:<20}{seconds:>10.2}{cpu_seconds:>10.2}{:>10.0}{:>12.1}{:>10.0}",
            mega(tree_bytes) / seconds,
            mega(archive),
            mega(peak)
        )?;
    }
    Ok(table)
}

/// Builds a target directory like those of real projects, once.
fn example_tree(bench: &Path) -> anyhow::Result<PathBuf> {
    let tree = bench.join("tree");
    if tree.exists() && weigh(&tree)? >= LEAST_BYTES {
        return Ok(tree);
    }
    let project = bench.join("project");
    for (file, text) in PROJECT {
        let path = project.join(file);
        fs_err::create_dir_all(path.parent().context("it lies in the project")?)?;
        fs_err::write(path, text)?;
    }
    for name in ["one", "two", "three", "four"] {
        let text =
            format!("#[test] fn {name}() {{ assert!(!bench_tree::everything().is_empty()); }}\n");
        fs_err::create_dir_all(project.join("tests"))?;
        fs_err::write(project.join("tests").join(name).with_extension("rs"), text)?;
    }
    let mut cargo: Command = user_command(OsStr::new("cargo"));
    let status = cargo
        .args(["build", "--tests"])
        .current_dir(&project)
        .env("CARGO_HOME", bench.join("cargo-home"))
        .env("CARGO_TARGET_DIR", &tree)
        .env("CARGO_INCREMENTAL", "0")
        .status()?;
    ensure!(status.success(), "the example tree does not build");
    ensure!(
        weigh(&tree)? >= LEAST_BYTES,
        "the example tree is too small"
    );
    Ok(tree)
}

/// The project behind the example tree: it uses enough of each dependency for executables of the usual size.
const PROJECT: [(&str, &str); 3] = [
    (
        "Cargo.toml",
        r#"[package]
name = "bench-tree"
version = "0.1.0"
edition = "2024"

[dependencies]
axum = "0.8"
chrono = { version = "0.4", features = ["serde"] }
clap = { version = "4", features = ["derive"] }
hyper = { version = "1", features = ["full"] }
image = { version = "0.25", default-features = false, features = ["png", "jpeg", "gif", "rayon"] }
regex = "1"
serde = { version = "1", features = ["derive"] }
serde_json = "1"
syn = { version = "2", features = ["full", "visit", "visit-mut", "fold", "extra-traits"] }
tokio = { version = "1", features = ["full"] }
tracing-subscriber = { version = "0.3", features = ["env-filter", "json"] }

[workspace]
"#,
    ),
    (
        "src/lib.rs",
        r#"use clap::Parser as _;

#[derive(clap::Parser, serde::Serialize, serde::Deserialize, Debug)]
pub struct Arguments {
    #[arg(long, default_value = "a+b")]
    pub pattern: String,
    #[arg(long)]
    pub file: Option<String>,
}

pub fn everything() -> String {
    tracing_subscriber::fmt().json().with_env_filter("info").try_init().ok();
    let arguments = Arguments::try_parse_from(["x"]).unwrap();
    let found = regex::Regex::new(&arguments.pattern).unwrap().is_match("aab");
    let items = syn::parse_file("fn main() { let x = 1 + 2; }").unwrap().items.len();
    let picture = image::load_from_memory(b"not a picture").is_ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = runtime.block_on(async {
        let app: axum::Router = axum::Router::new().route("/", axum::routing::get(|| async { axum::Json(1) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        server.abort();
        true
    });
    let now = chrono::Utc::now().to_rfc3339();
    format!("{found}{items}{picture}{served}{now}{}", serde_json::to_string(&arguments).unwrap())
}
"#,
    ),
    (
        "src/main.rs",
        "fn main() { println!(\"{}\", bench_tree::everything()); }\n",
    ),
];
