//! What the guard costs in a real repository: how many packages each of its last commits makes new, and by which rule.
//!
//! `cargo bench --bench commits -- CLONE TARGET [COMMITS] [CARGO_HOME]`: CLONE is a clone with a clean tree, TARGET an absolute
//! target directory in which that tree was built at its commit (`cargo test --no-run`, say), COMMITS how many commits to go
//! back (50). Checks the commits out one after the other, on the first-parent line, and returns to where it was.
//!
//! No commit is built: what units say that they read is taken from the one build, for all commits. For each commit, the sources
//! of the commit before are recorded, and the plan for its own ones is made, with Cargo right behind and with steps before it.
//! Counted is what is made new for itself; what depends on it Cargo compiles again besides, as it would anyhow.

#![expect(clippy::print_stdout, reason = "a table is what a bench is for")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::ensure;
use hotcrate::{
    archive::path::RelativePath,
    environment::Environment,
    freshness::{
        BuildScripts, Head, Inputs, Job, Moment, Mtime, OutsideFiles, Present, Reason, ReplayPlan,
        SourceManifest, SourceTree, SourceTrees, Sources, Verdicts, ignored_paths, plan, scan,
    },
    process::user_command,
    unit::{SourceRoots, TargetTree, read_target},
};

const COMMITS: usize = 50;
/// Every path in a target directory is older than this.
const SAVED: Mtime = Mtime {
    seconds: 1,
    nanos: 0,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().filter(|text| text != "--bench").collect();
    let [_, clone, target, more @ ..] = arguments.as_slice() else {
        println!("cargo bench --bench commits -- CLONE TARGET [COMMITS] [CARGO_HOME]");
        return Ok(());
    };
    let commits = more.first().map_or(Ok(COMMITS), |text| text.parse())?;
    let home = more
        .get(1)
        .map_or_else(|| Path::new(clone).join(".cargo-home"), PathBuf::from);
    let study = Study::begin(Path::new(clone), Path::new(target), &home)?;
    let here = study.git(&["rev-parse", "HEAD"])?;
    let told = study.compare(commits);
    study.git(&["checkout", "--quiet", here.trim()])?;
    let (names, decisions) = told?;
    print(&names, &decisions);
    Ok(())
}

/// What the guard decided for one commit: with Cargo right behind the replay, and with steps before it.
struct Decision {
    right_before: ReplayPlan,
    with_steps: ReplayPlan,
}

struct Study {
    clone: PathBuf,
    home: PathBuf,
    trees: SourceTrees,
    target: TargetTree,
    environment: Environment,
}

impl Study {
    fn begin(clone: &Path, target: &Path, home: &Path) -> anyhow::Result<Self> {
        let clone = clone.canonicalize()?;
        let target = target.canonicalize()?;
        let tree = SourceTree {
            name: RelativePath::new("project")?,
            directory: clone.clone(),
        };
        let study = Self {
            trees: SourceTrees::new([tree], [target.clone(), home.to_owned()]),
            target: read_target(&target, &SourceRoots::new(home, [clone.clone()]))?,
            environment: Environment::of_process(),
            home: home.to_owned(),
            clone,
        };
        ensure!(
            study.git(&["status", "--porcelain"])?.is_empty(),
            "the tree is not clean"
        );
        ensure!(
            !study.target.units.is_empty(),
            "nothing was built into the target directory"
        );
        Ok(study)
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = user_command("git".as_ref());
        let output = command.current_dir(&self.clone).args(arguments).output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn compare(&self, commits: usize) -> anyhow::Result<(BTreeSet<String>, Vec<Decision>)> {
        let count = (commits + 1).to_string();
        let listed = self.git(&["rev-list", "--first-parent", "--max-count", &count, "HEAD"])?;
        let mut listed: Vec<_> = listed.lines().collect();
        listed.reverse();
        let mut verdicts = Verdicts::default();
        let mut before: Option<SourceManifest> = None;
        let (mut names, mut decisions) = (BTreeSet::new(), Vec::new());
        for commit in listed {
            self.git(&["checkout", "--quiet", commit])?;
            let sources = scan(&self.trees)?;
            let inputs = self.inputs(&sources, &verdicts);
            verdicts.extend(inputs.verdicts.clone());
            let head = Head::of(&self.clone, &self.environment);
            if let Some(manifest) = &before {
                decisions.push(Decision {
                    right_before: self.plan(
                        manifest,
                        &sources,
                        &inputs,
                        &head,
                        Moment::RightBeforeCargo,
                    ),
                    with_steps: self.plan(
                        manifest,
                        &sources,
                        &inputs,
                        &head,
                        Moment::BeforeOtherSteps,
                    ),
                });
            }
            names.extend(
                inputs
                    .readers
                    .iter()
                    .map(|reader| reader.unit.package.clone()),
            );
            before = Some(self.record(&sources, &inputs, &head));
        }
        Ok((names, decisions))
    }

    fn inputs(&self, sources: &Sources, verdicts: &Verdicts) -> Inputs {
        let ignored = ["registry", "git"].map(|name| self.home.join(name));
        let workspaces = std::slice::from_ref(&self.clone);
        let mut inputs = Inputs::read(&self.target, sources, workspaces, &ignored, verdicts);
        for reader in &mut inputs.readers {
            // A file of the newest commit, which this one does not have: units that were built at this one would not name it.
            reader.outside.retain(|path| !path.starts_with(&self.clone));
        }
        inputs
    }

    fn record(&self, sources: &Sources, inputs: &Inputs, head: &Head) -> SourceManifest {
        let job = Job {
            head,
            ignored: &ignored_paths(sources, &self.environment),
            listing: None,
            restored: None,
            saved_max: SAVED,
        };
        let mut manifest = SourceManifest::record(sources, inputs, &job);
        // Times are those of this checkout: as if every unit had been compiled after it.
        for entry in manifest.entries.values_mut() {
            entry.mtime = SAVED;
        }
        manifest
    }

    fn plan(
        &self,
        manifest: &SourceManifest,
        sources: &Sources,
        inputs: &Inputs,
        head: &Head,
        moment: Moment,
    ) -> ReplayPlan {
        let present = Present {
            sources,
            inputs,
            head,
            ignored: &ignored_paths(sources, &self.environment),
            outside: &OutsideFiles::read(inputs.outside_paths()),
            moment,
            now: Mtime::now(),
        };
        plan(manifest, &present, BuildScripts::Auto)
    }
}

/// The rule behind a reason.
fn rule(reason: &Reason) -> &'static str {
    match reason {
        Reason::Source(..) => "a source that units name changed (Cargo's own rule)",
        Reason::Unnamed(..) => "a file changed that no unit names",
        Reason::Macro { .. } => "a file changed that a macro may read",
        Reason::MacroMayAskGit(_) => "a macro may ask git",
        Reason::MacroSign(..) => "a macro reads the clock or a variable",
        Reason::UntilCargo(_) => "a macro lists directories, and steps come before Cargo",
        Reason::Undeclared(..) => "a file changed that a build script does not declare",
        Reason::Outside(_) => "a file outside changed",
        Reason::NotUnderstood => "not understood",
        Reason::DeclaresNothing => "a build script declares nothing, and HEAD moved",
        Reason::Sign(_) => "a build script may ask git, the clock or a variable",
        Reason::Always => "build-scripts is always",
    }
}

type Pick = fn(&Decision) -> &ReplayPlan;

fn right_before(decision: &Decision) -> &ReplayPlan {
    &decision.right_before
}

fn with_steps(decision: &Decision) -> &ReplayPlan {
    &decision.with_steps
}

fn print(names: &BTreeSet<String>, decisions: &[Decision]) {
    println!(
        "{} commits, {} packages with units",
        decisions.len(),
        names.len()
    );
    let moments: [(&str, Pick); 2] = [
        ("Cargo right behind the replay", right_before),
        ("steps before Cargo", with_steps),
    ];
    for (title, pick) in moments {
        println!("\n{title}: commits by how many packages they make new");
        let mut commits: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut rules: BTreeMap<&str, (BTreeSet<usize>, usize, usize)> = BTreeMap::new();
        for (number, decision) in decisions.iter().enumerate() {
            let packages = &pick(decision).packages;
            let is_own = |reasons: &BTreeSet<Reason>| {
                reasons
                    .iter()
                    .any(|reason| matches!(reason, Reason::Source(..)))
            };
            let guarded = packages.values().filter(|reasons| !is_own(reasons)).count();
            *commits.entry((packages.len(), guarded)).or_default() += 1;
            for reasons in packages.values() {
                for rule in reasons.iter().map(rule).collect::<BTreeSet<_>>() {
                    let (seen, all, alone) = rules.entry(rule).or_default();
                    seen.insert(number);
                    *all += 1;
                    *alone += usize::from(!is_own(reasons));
                }
            }
        }
        for ((packages, guarded), count) in commits {
            println!(
                "{count:>5} commits: {packages:>3} packages, {guarded} of them by the guard alone"
            );
        }
        println!("{:>9}{:>10}{:>8}  rule", "commits", "packages", "alone");
        for (rule, (seen, all, alone)) in rules {
            println!("{:>9}{all:>10}{alone:>8}  {rule}", seen.len());
        }
    }
    println!("\nby the guard, each with the last of its reasons:");
    let mut told = BTreeMap::new();
    for (package, reasons) in decisions.iter().flat_map(|one| &one.right_before.packages) {
        let guarded = reasons
            .iter()
            .filter(|reason| !matches!(reason, Reason::Source(..)));
        told.extend(guarded.map(|reason| ((package, rule(reason), by_whom(reason)), reason)));
    }
    for ((package, rule, _), reason) in told {
        println!("  {package}: {rule}: {reason}");
    }
}

/// The macro that a reason is about, or the sign.
fn by_whom(reason: &Reason) -> String {
    match reason {
        Reason::Macro { used, .. }
        | Reason::MacroMayAskGit(used)
        | Reason::MacroSign(used, _)
        | Reason::UntilCargo(used) => used.clone(),
        Reason::Sign(sign) => format!("{sign:?}"),
        _ => String::new(),
    }
}
