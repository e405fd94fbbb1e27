//! The rules of [`super::diagnose()`]: each finds one thing that makes units dirty without need. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Cause, Facts, NewPart, TargetSnapshot, UnitSnapshot, Value, diagnose::LockfileKind,
    value::is_temporary,
};
use crate::{archive::path::RelativePath, unit::UnitKind};

/// More names than this are not listed.
const MOST_NAMED: usize = 5;
/// Clocks of file systems and machines differ by this much without meaning anything, in nanoseconds.
const CLOCK_SLACK: u64 = 2_000_000_000;

/// What a rule found, with its advice.
type Findings = Vec<(String, String)>;

fn units<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a RelativePath, &'a UnitSnapshot)> {
    let roots = facts.units.roots.iter();
    roots.flat_map(|(name, root)| root.units.iter().map(move |unit| (name, unit)))
}

fn records<'a>(
    facts: &Facts<'a>,
) -> impl Iterator<Item = (&'a RelativePath, &'a UnitSnapshot, &'a TargetSnapshot)> {
    units(facts)
        .flat_map(|(name, unit)| unit.targets.iter().map(move |record| (name, unit, record)))
}

/// The runs of build scripts of path packages.
fn own_scripts<'a>(
    facts: &Facts<'a>,
) -> impl Iterator<Item = (&'a RelativePath, &'a UnitSnapshot, &'a TargetSnapshot)> {
    records(facts)
        .filter(|(_, unit, _)| unit.kind == UnitKind::BuildScriptRun && unit.package_root.is_some())
}

/// A variable that Cargo tracks holds a path that is another one next time.
pub(super) fn temporary_variable(facts: &Facts<'_>) -> Findings {
    let mut variables: BTreeMap<&str, (&str, BTreeSet<&str>)> = BTreeMap::new();
    for (_, unit, record) in records(facts) {
        for (name, value) in &record.variables {
            let path = value.as_ref().and_then(Value::as_path);
            if let Some(path) = path.filter(|path| is_temporary(path) && !is_cargos_own(name)) {
                let (_, packages) = variables
                    .entry(name)
                    .or_insert_with(|| (path, BTreeSet::new()));
                packages.insert(&unit.id.package);
            }
        }
    }
    let found = variables.into_iter().map(|(name, (path, packages))| {
        let advice = if name.starts_with("PYO3_") || name.contains("PYTHON") {
            "pip and other build front ends make a new environment for each build: build without isolation \
             (`--no-build-isolation`), or set it to an interpreter that stays."
                .to_owned()
        } else {
            "Set it to a path that stays the same from one build to the next.".to_owned()
        };
        (
            format!(
                "{name}, which {} read{}, is a temporary path: {path}",
                listed(&packages),
                third_person(packages.len())
            ),
            advice,
        )
    });
    found.collect()
}

/// Variables that Cargo sets itself: where the project lies is no choice of the environment's.
fn is_cargos_own(name: &str) -> bool {
    name.starts_with("CARGO_") || name == "OUT_DIR"
}

/// A build script declares a file that does not exist: Cargo runs it again in every build.
pub(super) fn missing_input(facts: &Facts<'_>) -> Findings {
    let found = own_scripts(facts).flat_map(|(_, unit, record)| {
        let missing = record.files.iter().filter(move |file| {
            let path = unit.package_root.as_ref().map(|root| root.join(file));
            path.is_some_and(|path| matches!(facts.inputs.get(&path), Some(None)))
        });
        missing.map(|file| {
            (
                format!(
                    "the build script of {} declares {file}, which does not exist, and so runs in every build",
                    unit.id.package
                ),
                format!("Correct or take out the line `cargo::rerun-if-changed={file}`."),
            )
        })
    });
    unique(found)
}

/// A build script declares what the build itself writes.
pub(super) fn output_as_input(facts: &Facts<'_>) -> Findings {
    let found = own_scripts(facts).flat_map(|(name, unit, record)| {
        let target = facts.targets.get(name);
        let outputs = record.files.iter().filter(move |file| {
            let path = unit.package_root.as_ref().map(|root| normalised(&root.join(file)));
            path.zip(target).is_some_and(|(path, target)| {
                path.starts_with(target) || target.starts_with(&path)
            })
        });
        outputs.map(|file| {
            (
                format!(
                    "the build script of {} declares {file}, which holds what the build writes, and so runs in every build",
                    unit.id.package
                ),
                "Declare the sources that it reads, file by file or directory by directory, and nothing in OUT_DIR or \
                 the target directory."
                    .to_owned(),
            )
        })
    });
    unique(found)
}

/// Something wrote below a directory that a build script declares, after the script had run.
pub(super) fn written_input(facts: &Facts<'_>) -> Findings {
    let found = own_scripts(facts).flat_map(|(name, unit, record)| {
        let target = facts.targets.get(name);
        let newer = record.files.iter().filter_map(move |file| {
            let path = unit.package_root.as_ref()?.join(file);
            let state = facts.inputs.get(&path)?.as_ref()?;
            let is_output = target.is_some_and(|target| target.starts_with(normalised(&path)) || normalised(&path).starts_with(target));
            (state.newest != path && state.modified > record.reference? && !is_output)
                .then_some((file, &state.newest))
        });
        newer.map(|(file, newest)| {
            (
                format!(
                    "the build script of {} declares the directory {file}, and {} there is newer than its last run",
                    unit.id.package,
                    shown(facts, newest)
                ),
                "If the build writes there, the script runs in every build: write to OUT_DIR, or declare the files that \
                 the script reads."
                    .to_owned(),
            )
        })
    });
    unique(found)
}

/// A build script that declares nothing runs when any file of its package is new, as all are after a checkout.
pub(super) fn no_inputs_declared(facts: &Facts<'_>) -> Findings {
    let scripts: BTreeSet<_> = own_scripts(facts)
        .filter(|(_, _, record)| record.whole_package.is_some())
        .filter_map(|(_, unit, _)| Some((unit.id.package.as_str(), unit.package_root.as_deref()?)))
        .collect();
    let found = scripts.into_iter().map(|(package, root)| {
        (
            format!("the build script of {package} declares no inputs, and so runs whenever a file of the package is new"),
            format!(
                "Let the script in {} print `cargo::rerun-if-changed=build.rs`, and such a line for each file, or \
                 `cargo::rerun-if-env-changed=NAME` for each variable, that it reads.",
                shown(facts, root)
            ),
        )
    });
    found.collect()
}

/// The replay of times could not trust a build script or a macro.
pub(super) fn undeclared_reads(facts: &Facts<'_>) -> Findings {
    let found = facts.made_new.iter().flat_map(|(package, reasons)| {
        reasons.iter().map(move |reason| {
            let advice = match reason.what {
                NewPart::Script => {
                    "Let its build script declare all that it reads (`cargo::rerun-if-changed`, \
                     `cargo::rerun-if-env-changed`), or trust all build scripts with `build-scripts: never`."
                }
                NewPart::Package => {
                    "Cargo can't see what a procedural macro reads: keep what it has no business with outside of the \
                     packages that use it."
                }
            };
            (
                format!("{package} was compiled again: {}", reason.why),
                advice.to_owned(),
            )
        })
    });
    unique(found)
}

/// The lockfile is not what is committed, so that builds differ in what they resolve.
pub(super) fn lockfile(facts: &Facts<'_>) -> Findings {
    let found = facts.lockfiles.iter().filter_map(|lockfile| {
        let path = &lockfile.path;
        let (finding, advice) = match lockfile.state {
            LockfileKind::Committed => return None,
            LockfileKind::Modified => (
                format!("{path} is not what was committed: a command changed it"),
                "Commit it, and let CI build with `--locked`, which fails instead of resolving anew.",
            ),
            LockfileKind::Untracked => (
                format!("{path} is not in git: every clone resolves its dependencies anew"),
                "Commit it, for libraries too: it does not bind those who depend on them.",
            ),
            LockfileKind::Missing => (
                format!("{path} does not exist: every clone resolves its dependencies anew"),
                "Make it with `cargo generate-lockfile`, and commit it.",
            ),
        };
        Some((finding, advice.to_owned()))
    });
    found.collect()
}

/// The sources of dependencies lay elsewhere when the units were compiled.
pub(super) fn cargo_home_moved(facts: &Facts<'_>) -> Findings {
    let moved = facts.rebuilt.iter().filter(|unit| {
        unit.causes.contains(&Cause::SourcePath {
            in_cargo_home: true,
        })
    });
    let count = moved.count();
    if count == 0 {
        return Vec::new();
    }
    let finding = format!(
        "{count} units of dependencies were compiled again because CARGO_HOME lies elsewhere than before ({} now)",
        facts.cargo_home.display()
    );
    let advice = "Cargo keeps its absolute path in their fingerprints: give CARGO_HOME the same path in every job.";
    vec![(finding, advice.to_owned())]
}

/// Flags that hold paths are other flags at another path.
pub(super) fn paths_in_flags(facts: &Facts<'_>) -> Findings {
    let flags: BTreeSet<&str> = records(facts)
        .flat_map(|(_, _, record)| &record.rustflags)
        .filter(|flag| {
            let mut parts = flag.split('=').map(|part| part.trim_start_matches("-L"));
            parts.any(|part| {
                let path = Path::new(part);
                path.starts_with(facts.project)
                    || path.starts_with(facts.cargo_home)
                    || is_temporary(part)
            })
        })
        .map(String::as_str)
        .collect();
    let found = flags.into_iter().map(|flag| {
        (
            format!("RUSTFLAGS hold a path of this machine: {flag}"),
            "At another path every unit is compiled again: build at the same path everywhere, or leave such flags to \
             release builds."
                .to_owned(),
        )
    });
    found.collect()
}

/// Commands of a job, or an editor, build into one directory with other flags in turn.
pub(super) fn alternating_flags(facts: &Facts<'_>) -> Findings {
    let records = records(facts)
        .filter(|(_, unit, _)| unit.kind != UnitKind::Doc)
        .map(|(root, unit, record)| {
            (
                (root, &unit.id.profile),
                record.rustflags.join(" "),
                unit.compiled_at,
            )
        });
    let found = alternating(records).into_iter().map(|((_, profile), flags)| {
        let flags: Vec<_> = flags
            .iter()
            .map(|flags| if flags.is_empty() { "none" } else { flags })
            .collect();
        (
            format!("{profile} is built with different RUSTFLAGS in turn: {}", flags.join(" / ")),
            "Set RUSTFLAGS once for the whole job, or give the other command, or the editor, a target directory of its \
             own."
                .to_owned(),
        )
    });
    found.collect()
}

/// Two compilers build into one directory in turn.
pub(super) fn alternating_toolchains(facts: &Facts<'_>) -> Findings {
    let records = records(facts)
        .filter(|(_, _, record)| record.rustc != 0)
        .map(|(root, unit, record)| (root, record.rustc, unit.compiled_at));
    let found = alternating(records).into_iter().map(|(root, compilers)| {
        (
            format!("{} compilers build into {root} in turn", compilers.len()),
            "Select one toolchain for the job (`rust-toolchain.toml`), or give the other, or the editor, a target \
             directory of its own."
                .to_owned(),
        )
    });
    found.collect()
}

/// For each place the settings whose units were compiled in turn: one's first before another's last, and the reverse.
fn alternating<Place: Ord, Setting: Ord>(
    records: impl Iterator<Item = (Place, Setting, u64)>,
) -> Vec<(Place, Vec<Setting>)> {
    let mut times: BTreeMap<Place, BTreeMap<Setting, (u64, u64)>> = BTreeMap::new();
    for (place, setting, time) in records {
        let span = times
            .entry(place)
            .or_default()
            .entry(setting)
            .or_insert((time, time));
        *span = (span.0.min(time), span.1.max(time));
    }
    times
        .into_iter()
        .filter_map(|(place, settings)| {
            let spans: Vec<_> = settings.values().copied().collect();
            let overlaps = |(index, (first, last)): (usize, &(u64, u64))| {
                spans
                    .iter()
                    .enumerate()
                    .any(|(other, span)| other != index && span.0 < *last && *first < span.1)
            };
            let in_turn = spans.iter().enumerate().any(overlaps);
            in_turn.then(|| (place, settings.into_keys().collect()))
        })
        .collect()
}

/// The build compiled a library twice, with different features.
pub(super) fn alternating_features(facts: &Facts<'_>) -> Findings {
    let compiled: BTreeSet<_> = facts.rebuilt.iter().map(|unit| &unit.place).collect();
    let mut builds: BTreeMap<_, BTreeSet<&[String]>> = BTreeMap::new();
    for (root, unit, record) in records(facts) {
        let place = (root.clone(), unit.id.clone());
        if matches!(unit.kind, UnitKind::Library | UnitKind::Check) && compiled.contains(&place) {
            let build = (
                root,
                &unit.id.profile,
                &unit.id.package,
                &unit.version,
                (unit.kind, record.profile, record.compile_kind, record.rustc),
            );
            builds.entry(build).or_default().insert(&record.features);
        }
    }
    let packages: BTreeSet<&str> = builds
        .iter()
        .filter(|(_, features)| features.len() > 1)
        .map(|(build, _)| build.2.as_str())
        .collect();
    if packages.is_empty() {
        return Vec::new();
    }
    let finding = format!(
        "{} compiled more than once, with different features",
        was(&packages)
    );
    let advice = "Commands that build different packages of a workspace enable different features: let all of them \
                  name the same packages (`--workspace`), or unify the features (`cargo hakari`).";
    vec![(finding, advice.to_owned())]
}

/// Files from the future are newer than everything that is compiled now.
pub(super) fn future_times(facts: &Facts<'_>) -> Findings {
    let files: BTreeSet<_> = facts
        .inputs
        .values()
        .flatten()
        .filter(|state| state.modified > facts.now + CLOCK_SLACK)
        .map(|state| shown(facts, &state.newest))
        .collect();
    if files.is_empty() {
        return Vec::new();
    }
    let names: BTreeSet<_> = files.iter().map(String::as_str).collect();
    let finding = format!(
        "modification times lie in the future, so that what reads them is compiled in every build: {}",
        listed(&names)
    );
    let advice = "Set the clock of the machine that wrote them right, and `touch` them.";
    vec![(finding, advice.to_owned())]
}

/// Incremental compilation costs time and space where nothing is compiled twice.
pub(super) fn incremental(facts: &Facts<'_>) -> Findings {
    if !(facts.is_ci && facts.is_incremental) {
        return Vec::new();
    }
    let finding =
        "CI compiles incrementally: what that writes is large, and hotcrate does not keep it";
    let advice = "Set CARGO_INCREMENTAL=0 for the whole workflow.";
    vec![(finding.to_owned(), advice.to_owned())]
}

/// What was found of more than one target of a unit is told once.
fn unique(findings: impl Iterator<Item = (String, String)>) -> Findings {
    findings.collect::<BTreeSet<_>>().into_iter().collect()
}

fn listed(names: &BTreeSet<&str>) -> String {
    let mut shown: Vec<_> = names.iter().take(MOST_NAMED).copied().collect();
    if names.len() > MOST_NAMED {
        shown.push("…");
    }
    shown.join(", ")
}

fn was(packages: &BTreeSet<&str>) -> String {
    let verb = if packages.len() == 1 { "was" } else { "were" };
    format!("{} {verb}", listed(packages))
}

fn third_person(subjects: usize) -> &'static str {
    if subjects == 1 { "s" } else { "" }
}

fn shown(facts: &Facts<'_>, path: &Path) -> String {
    match path.strip_prefix(facts.project) {
        Ok(below) if below.as_os_str().is_empty() => "the project's directory".to_owned(),
        Ok(below) => below.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

/// `path` without `.` and with `..` resolved by the text alone.
fn normalised(path: &Path) -> std::path::PathBuf {
    let mut normal = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
