//! What recording and replaying 10,000 sources costs, with units that name them, and git. Prints a table; asserts nothing.
//!
//! `cargo bench --bench freshness` makes a workspace of 100 packages with 100 files of 4 KiB each, every tenth with a build
//! script, commits it, and lets Cargo check it once. `cargo bench --bench freshness -- PROJECT TARGET` takes a project of yours,
//! in which nothing changes, and an absolute target directory that was built from it, in which `dep-*` files are written anew.

#![expect(clippy::print_stdout, reason = "a table is what a bench is for")]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;
use hotcrate::{
    archive::path::RelativePath,
    environment::Environment,
    freshness::{
        BuildScripts, Head, Inputs, Job, Listing, Moment, Mtime, OutsideFiles, Present,
        SourceManifest, SourceTree, SourceTrees, Verdicts, ignored_paths, plan, put_back, replay,
        scan, settle_directories, watch,
    },
    process::user_command,
    unit::{SourceRoots, read_target},
};

const PACKAGES: usize = 100;
const FILES: usize = 100;
/// How often each half is measured; the middle one counts.
const RUNS: usize = 5;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().filter(|text| text != "--bench").collect();
    let directory = tempfile::tempdir()?;
    let (project, target) = if let [_, project, target] = arguments.as_slice() {
        (PathBuf::from(project), PathBuf::from(target))
    } else {
        let project = directory.path().join("project");
        make_sources(&project)?;
        (project.clone(), project.join("target"))
    };
    let bench = Bench::new(&project.canonicalize()?, &target.canonicalize()?)?;
    let (mut recorded, mut replayed) = (Vec::new(), Vec::new());
    let mut manifest = None;
    for _ in 0..RUNS {
        let mut steps = Steps::default();
        manifest = Some(bench.record(&mut steps)?);
        recorded.push(steps);
    }
    let json = manifest.unwrap_or_default();
    for _ in 0..RUNS {
        let mut steps = Steps::default();
        bench.replay(&json, &mut steps)?;
        replayed.push(steps);
    }
    println!("manifest: {} bytes", json.len());
    Steps::print("record", recorded);
    Steps::print("replay", replayed);
    Ok(())
}

/// How long each step of one run took.
#[derive(Default)]
struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    fn time<T>(&mut self, step: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.push((step, start.elapsed()));
        done
    }

    fn total(&self) -> Duration {
        self.0.iter().map(|(_, time)| *time).sum()
    }

    /// Prints the run in the middle.
    fn print(title: &str, mut runs: Vec<Self>) {
        runs.sort_by_key(Self::total);
        let Some(run) = runs.get(runs.len() / 2) else {
            return;
        };
        println!("{title:<34}{:>8.1} ms", run.total().as_secs_f64() * 1000.0);
        for (step, time) in &run.0 {
            println!("  {step:<32}{:>8.1} ms", time.as_secs_f64() * 1000.0);
        }
    }
}

struct Bench {
    project: PathBuf,
    target: PathBuf,
    trees: SourceTrees,
    roots: SourceRoots,
    home: PathBuf,
    environment: Environment,
}

impl Bench {
    fn new(project: &Path, target: &Path) -> anyhow::Result<Self> {
        let environment = Environment::of_process();
        let home = environment.os("CARGO_HOME").map(PathBuf::from);
        let user = environment
            .os("HOME")
            .map(PathBuf::from)
            .unwrap_or_default();
        let home = home.unwrap_or_else(|| user.join(".cargo"));
        let tree = SourceTree {
            name: RelativePath::new("project")?,
            directory: project.to_owned(),
        };
        Ok(Self {
            trees: SourceTrees::new([tree], [target.to_owned(), home.clone()]),
            roots: SourceRoots::new(&home, [project.to_owned()]),
            project: project.to_owned(),
            target: target.to_owned(),
            environment,
            home,
        })
    }

    /// As a save does it: what the sources and the units are, in JSON.
    fn record(&self, steps: &mut Steps) -> anyhow::Result<String> {
        let tree = steps.time("read the target directory", || {
            read_target(&self.target, &self.roots)
        })?;
        let sources = steps.time("scan and hash", || scan(&self.trees))?;
        let none = Verdicts::default();
        let inputs = steps.time("read what units say", || {
            self.inputs(&tree, &sources, &none)
        });
        let (head, ignored) = steps.time("ask git", || {
            let head = Head::of(&self.project, &self.environment);
            (head, ignored_paths(&sources, &self.environment))
        });
        let listing = Listing::of(&sources);
        let manifest = steps.time("record", || {
            let job = Job {
                head: &head,
                ignored: &ignored,
                listing: Some(&listing),
                restored: None,
                saved_max: Mtime::now(),
            };
            SourceManifest::record(&sources, &inputs, &job)
        });
        Ok(steps.time("write JSON", || serde_json::to_string(&manifest))?)
    }

    /// As a restore does it, once everything is unpacked.
    fn replay(&self, json: &str, steps: &mut Steps) -> anyhow::Result<()> {
        let manifest: SourceManifest = steps.time("read JSON", || serde_json::from_str(json))?;
        let sources = steps.time("scan and hash", || scan(&self.trees))?;
        let tree = steps.time("read the target directory", || {
            read_target(&self.target, &self.roots)
        })?;
        let inputs = steps.time("read what units say", || {
            self.inputs(&tree, &sources, &manifest.verdicts)
        });
        let (head, ignored) = steps.time("ask git", || {
            let head = Head::of(&self.project, &self.environment);
            (head, ignored_paths(&sources, &self.environment))
        });
        let outside = OutsideFiles::read(inputs.outside_paths());
        let present = Present {
            sources: &sources,
            inputs: &inputs,
            head: &head,
            ignored: &ignored,
            outside: &outside,
            moment: Moment::BeforeOtherSteps,
            now: Mtime::now(),
        };
        let plan = steps.time("plan", || plan(&manifest, &present, BuildScripts::Auto));
        let mut plans = vec![plan];
        let mut plan = steps.time("choose what Cargo watches", || {
            settle_directories(&mut plans, std::slice::from_ref(&inputs), &sources);
            let mut plan = plans.remove(0);
            watch(&mut plan, &inputs, &sources);
            plan
        });
        // Deleted files would be missed by the next run.
        plan.deleted.clear();
        let plans = [(plan, self.target.as_path())];
        let done = steps.time("set times", || replay(&plans, &sources))?;
        put_back(&done.changed, false)?;
        Ok(())
    }

    fn inputs(
        &self,
        tree: &hotcrate::unit::TargetTree,
        sources: &hotcrate::freshness::Sources,
        known: &Verdicts,
    ) -> Inputs {
        let ignored = ["registry", "git"].map(|name| self.home.join(name));
        Inputs::read(
            tree,
            sources,
            std::slice::from_ref(&self.project),
            &ignored,
            known,
        )
    }
}

/// A workspace that was checked once, in git.
fn make_sources(root: &Path) -> anyhow::Result<()> {
    for package in 0..PACKAGES {
        let directory = root.join(format!("crates/package-{package}"));
        let sources = directory.join("src");
        fs_err::create_dir_all(&sources)?;
        let manifest = format!(
            "[package]\nname = \"package-{package}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"
        );
        fs_err::write(directory.join("Cargo.toml"), manifest)?;
        if package % 10 == 0 {
            let script = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\"); }\n";
            fs_err::write(directory.join("build.rs"), script)?;
        }
        let modules = 1..FILES - 1;
        let library = modules.clone().fold(String::new(), |library, file| {
            library + &format!("mod module_{file};\n")
        });
        fs_err::write(sources.join("lib.rs"), library)?;
        for file in modules {
            let line = format!("// {package} {file} {}\n", "x".repeat(80));
            fs_err::write(sources.join(format!("module_{file}.rs")), line.repeat(46))?;
        }
    }
    fs_err::write(
        root.join("Cargo.toml"),
        "[workspace]\nmembers = [\"crates/*\"]\nresolver = \"3\"\n",
    )?;
    fs_err::write(root.join(".gitignore"), "/target\n")?;
    run(root, "git", &["init", "--quiet"])?;
    run(root, "git", &["add", "--all"])?;
    let identity = [
        "-c",
        "user.name=bench",
        "-c",
        "user.email=bench@example.org",
    ];
    run(
        root,
        "git",
        &[&identity[..], &["commit", "--quiet", "--message", "all"]].concat(),
    )?;
    run(root, "cargo", &["check", "--quiet", "--offline"])
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = user_command(program.as_ref());
    command.env("CARGO_TARGET_DIR", directory.join("target"));
    let status = command.current_dir(directory).args(arguments).status()?;
    ensure!(status.success(), "{program} failed");
    Ok(())
}
