//! Manifests, Cargo's configuration and toolchain files as facts: what the `lock` part holds beside `packages`.
//!
//! Each section is one fact, so that a difference names it: `Cargo.toml [profile.release]`. What does not count is
//! listed here; everything else does, so that a setting which Cargo gains is never overlooked. Comments and
//! formatting are gone after parsing; the order of keys, members and features never matters.
//!
//! What does not count, and why the dependencies are the same without it:
//! - of a package: version, texts and links for people, `metadata`, what is published, which targets are found by
//!   themselves. They reach path packages only, and those are judged by `tree` and by Cargo.
//! - `[lints]` and `[workspace.lints]`: Cargo caps lints for dependencies and gives them none of ours.
//! - `[[bin]]`, `[[example]]`, `[[test]]`, `[[bench]]`, and of `[lib]` all but `crate-type` and `proc-macro`, which decide
//!   whether dependencies are compiled for the host and how they are linked.
//! - where a path dependency lies and which version it asks for; that it *is* one counts. Patches keep their paths, as
//!   Cargo hashes those into whatever depends on them.
//! - profiles and patches of manifests that are not the workspace's root: Cargo ignores them.
//! - of the configuration: what people see, the network, credentials, `alias`, directories, jobs, runners, and
//!   `rustc-wrapper` (Cargo stays fresh).

use toml::{Table, Value};

use super::{
    Fact,
    canonical::{canonical, fact, with_sorted_lists},
    lockfile::without_credentials,
};

/// How a flag asks for the CPU that compiles: `target-cpu=native`, `-march=native`.
pub const NATIVE_FLAG: &str = "=native";

/// Keys of `[package]` and `[workspace.package]` that don't count.
const PACKAGE_IGNORED: &[&str] = &[
    "version",
    "description",
    "authors",
    "readme",
    "keywords",
    "categories",
    "license",
    "license-file",
    "homepage",
    "documentation",
    "repository",
    "publish",
    "include",
    "exclude",
    "metadata",
    "default-run",
    "autolib",
    "autobins",
    "autoexamples",
    "autotests",
    "autobenches",
];
/// Sections of a manifest that don't count.
const MANIFEST_IGNORED: &[&str] = &["bin", "example", "test", "bench", "lints", "badges"];
/// Keys of `[lib]` that count.
const LIB_COUNTED: &[&str] = &["crate-type", "crate_type", "proc-macro", "proc_macro"];
/// Sections that Cargo reads in the workspace's root only.
const ROOT_ONLY: &[&str] = &["profile", "patch", "replace"];
/// Tables of dependencies, in the manifest itself and below `target.<cfg>`.
pub(crate) const DEPENDENCY_TABLES: &[&str] = &[
    "dependencies",
    "dev-dependencies",
    "dev_dependencies",
    "build-dependencies",
    "build_dependencies",
];
/// Sections of Cargo's configuration that don't count.
const CONFIG_IGNORED: &[&str] = &[
    "alias",
    "cache",
    "cargo-new",
    "credential-alias",
    "doc",
    "future-incompat-report",
    "http",
    "include",
    "install",
    "net",
    "registry",
    "term",
];
/// Keys of the configuration's `[build]` that don't count.
const CONFIG_BUILD_IGNORED: &[&str] = &[
    "jobs",
    "rustc-wrapper",
    "target-dir",
    "build-dir",
    "dep-info-basedir",
    "warnings",
];
/// The only key of the configuration's `[registries.<name>]` that counts: others are ways in, or secrets.
const REGISTRY_COUNTED: &str = "index";

/// What a manifest is to its workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestRole {
    /// The workspace's root, virtual or a package too.
    Root,
    /// A member, or a path dependency anywhere.
    Member,
}

/// The facts of one manifest. `label` is its path relative to the project: `crates/a/Cargo.toml`.
pub fn manifest_facts(label: &str, manifest: &Table, role: ManifestRole) -> Vec<Fact> {
    sections(manifest, role)
        .into_iter()
        .map(|(section, value)| fact(&format!("{label} [{section}]"), &value))
        .collect()
}

/// The facts of a manifest's dependency tables alone: they stand in for a lockfile where there is none.
pub fn dependency_facts(label: &str, manifest: &Table, role: ManifestRole) -> Vec<Fact> {
    let of_dependencies = |section: &str| {
        DEPENDENCY_TABLES.contains(&section)
            || section == "workspace.dependencies"
            || section.starts_with("target.")
            || section.starts_with("patch.")
    };
    sections(manifest, role)
        .into_iter()
        .filter(|(section, _)| of_dependencies(section))
        .map(|(section, value)| fact(&format!("{label} [{section}]"), &value))
        .collect()
}

/// What counts in a manifest: its sections, without those that are empty.
fn sections(manifest: &Table, role: ManifestRole) -> Vec<(String, Value)> {
    let mut sections = Vec::new();
    for (name, value) in manifest {
        let ignored = MANIFEST_IGNORED.contains(&name.as_str())
            || (role == ManifestRole::Member && ROOT_ONLY.contains(&name.as_str()));
        if !ignored {
            section(&mut sections, name, value, role);
        }
    }
    sections.retain(|(_, value)| !is_empty(value));
    sections
}

fn section(sections: &mut Vec<(String, Value)>, name: &str, value: &Value, role: ManifestRole) {
    let mut push = |section: String, value: Value| sections.push((section, value));
    match (name, value) {
        ("package" | "project", Value::Table(package)) => {
            push("package".to_owned(), without(package, PACKAGE_IGNORED));
        }
        ("lib", Value::Table(lib)) => {
            push(name.to_owned(), only(lib, |key| LIB_COUNTED.contains(&key)));
        }
        ("features", value) => push(name.to_owned(), with_sorted_lists(value)),
        ("workspace", Value::Table(workspace)) => {
            // The workspaces of packages outside of ours decide nothing here.
            if role == ManifestRole::Root {
                sections.extend(workspace_sections(workspace));
            }
        }
        ("target", Value::Table(targets)) => {
            for (cfg, value) in targets {
                for (table, value) in value.as_table().into_iter().flatten() {
                    push(format!("target.{cfg}.{table}"), dependencies(value));
                }
            }
        }
        ("profile", Value::Table(profiles)) => {
            for (profile, value) in profiles {
                push(format!("profile.{profile}"), value.clone());
            }
        }
        ("patch", Value::Table(sources)) => {
            for (source, value) in sources {
                push(
                    format!("patch.{}", without_credentials(source)),
                    patches(value),
                );
            }
        }
        ("replace", value) => push(name.to_owned(), patches(value)),
        (name, value) if DEPENDENCY_TABLES.contains(&name) => {
            push(name.replace('_', "-"), dependencies(value));
        }
        (name, value) => push(name.to_owned(), value.clone()),
    }
}

fn workspace_sections(workspace: &Table) -> Vec<(String, Value)> {
    let own = |key: &str| !matches!(key, "dependencies" | "package" | "lints" | "metadata");
    let mut sections = vec![("workspace".to_owned(), only(workspace, own))];
    if let Some(value) = workspace.get("dependencies") {
        sections.push(("workspace.dependencies".to_owned(), dependencies(value)));
    }
    if let Some(Value::Table(package)) = workspace.get("package") {
        sections.push((
            "workspace.package".to_owned(),
            without(package, PACKAGE_IGNORED),
        ));
    }
    sections
}

/// The facts of one file of Cargo's configuration. `label` names the file: `.cargo/config.toml`, or
/// `$CARGO_HOME/config.toml`. Values are always digests: `[env]` may hold secrets.
pub fn config_facts(label: &str, config: &Table) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut push = |section: &str, value: &Value| {
        if !is_empty(value) {
            facts.push(Fact::digested(
                format!("{label} [{section}]"),
                canonical(value),
            ));
        }
    };
    for (name, value) in config {
        match (name.as_str(), value) {
            (name, _) if CONFIG_IGNORED.contains(&name) => {}
            ("build", Value::Table(build)) => push("build", &without(build, CONFIG_BUILD_IGNORED)),
            ("target" | "host", Value::Table(targets)) => {
                for (triple, value) in targets {
                    let value = value
                        .as_table()
                        .map_or_else(|| value.clone(), |table| without(table, &["runner"]));
                    push(&format!("{name}.{triple}"), &value);
                }
            }
            ("registries", Value::Table(registries)) => {
                for (registry, value) in registries
                    .iter()
                    .filter_map(|(name, value)| Some((name, value.as_table()?)))
                {
                    push(
                        &format!("registries.{registry}"),
                        &only(value, |key| key == REGISTRY_COUNTED),
                    );
                }
            }
            ("env" | "profile" | "patch" | "source", Value::Table(tables)) => {
                for (below, value) in tables {
                    push(&format!("{name}.{below}"), value);
                }
            }
            (name, value) => push(name, value),
        }
    }
    facts
}

/// The fact of a `rust-toolchain` or `rust-toolchain.toml`. The old form of one line is no TOML.
pub fn toolchain_file_fact(label: &str, text: &str) -> Fact {
    match text.parse::<Table>() {
        Ok(table) => fact(label, &Value::Table(table)),
        Err(_) => fact(label, &Value::String(text.trim().to_owned())),
    }
}

/// Whether a value in a parsed manifest or configuration asks for the CPU that compiles.
pub fn asks_for_native(table: &Table) -> bool {
    fn any(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains(NATIVE_FLAG),
            Value::Array(values) => values.iter().any(any),
            Value::Table(table) => table.values().any(any),
            _ => false,
        }
    }
    table.values().any(any)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Table(table) => table.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

fn without(table: &Table, ignored: &[&str]) -> Value {
    only(table, |key| !ignored.contains(&key))
}

fn only(table: &Table, counted: impl Fn(&str) -> bool) -> Value {
    let kept = table
        .iter()
        .filter(|(name, _)| counted(name))
        .map(|(name, value)| (name.clone(), value.clone()));
    Value::Table(kept.collect())
}

/// A table of dependencies: of a path dependency neither place nor version counts.
fn dependencies(value: &Value) -> Value {
    each_dependency(value, |dependency| {
        if dependency.contains_key("path") {
            dependency.remove("version");
            dependency.insert("path".to_owned(), Value::Boolean(true));
        }
    })
}

/// A table of patches: of a path dependency the version does not count.
fn patches(value: &Value) -> Value {
    each_dependency(value, |dependency| {
        if dependency.contains_key("path") {
            dependency.remove("version");
        }
    })
}

fn each_dependency(value: &Value, change: impl Fn(&mut Table)) -> Value {
    let mut value = value.clone();
    if let Value::Table(dependencies) = &mut value {
        for (_, dependency) in dependencies.iter_mut() {
            if let Value::Table(dependency) = dependency {
                change(dependency);
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().expect("it is TOML")
    }

    fn root(text: &str) -> Vec<Fact> {
        manifest_facts("Cargo.toml", &table(text), ManifestRole::Root)
    }

    const ROOT: &str = r#"
[workspace]
members = ["a", "b"]
resolver = "2"
[workspace.package]
version = "1.0.0"
edition = "2024"
[workspace.dependencies]
serde = { version = "1", features = ["derive", "rc"] }
a = { path = "a", version = "1.0.0" }
[workspace.lints.rust]
unsafe_code = "forbid"
[profile.release]
lto = true
[patch.crates-io]
memchr = { path = "vendor/memchr" }
"#;

    #[test]
    fn a_manifest_becomes_one_fact_a_section() {
        let lines: Vec<_> = root(ROOT)
            .into_iter()
            .map(|fact| format!("{} = {}", fact.label, fact.value))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        Cargo.toml [patch.crates-io] = {memchr = {path = "vendor/memchr"}}
        Cargo.toml [profile.release] = {lto = true}
        Cargo.toml [workspace] = {members = ["a", "b"], resolver = "2"}
        Cargo.toml [workspace.dependencies] = {a = {path = true}, serde = {features = ["derive", "rc"], version = "1"}}
        Cargo.toml [workspace.package] = {edition = "2024"}
        "#);
    }

    #[rstest::rstest]
    #[case("version = \"1.0.0\"\nedition", "version = \"1.0.1\"\nedition")]
    #[case(
        "path = \"a\", version = \"1.0.0\"",
        "path = \"a\", version = \"1.0.1\""
    )]
    #[case(
        "path = \"a\", version = \"1.0.0\"",
        "version = \"1.0.0\", path = \"elsewhere/a\""
    )]
    #[case("lto = true", "lto   =   true # yes")]
    #[case("[\"a\", \"b\"]", "[\"b\", \"a\"]")]
    #[case("[\"derive\", \"rc\"]", "[\"rc\", \"derive\"]")]
    #[case("unsafe_code = \"forbid\"", "unsafe_code = \"deny\"")]
    #[case(
        "[workspace.package]",
        "[workspace.metadata.x]\ny = 1\n[workspace.package]\nauthors = []"
    )]
    fn what_leaves_the_dependencies_alone_does_not_count(#[case] from: &str, #[case] to: &str) {
        let changed = ROOT.replace(from, to);
        assert_ne!(changed, ROOT, "the case must change something");
        assert_eq!(root(&changed), root(ROOT));
    }

    #[rstest::rstest]
    #[case("lto = true", "lto = false", "Cargo.toml [profile.release]")]
    #[case(
        "edition = \"2024\"",
        "edition = \"2021\"",
        "Cargo.toml [workspace.package]"
    )]
    #[case("resolver = \"2\"", "resolver = \"3\"", "Cargo.toml [workspace]")]
    #[case(
        "[\"derive\", \"rc\"]",
        "[\"derive\"]",
        "Cargo.toml [workspace.dependencies]"
    )]
    #[case("vendor/memchr", "vendor/other", "Cargo.toml [patch.crates-io]")]
    fn what_changes_the_dependencies_counts_in_its_section(
        #[case] from: &str,
        #[case] to: &str,
        #[case] label: &str,
    ) {
        let changed = ROOT.replace(from, to);
        assert_ne!(changed, ROOT, "the case must change something");
        let old = root(ROOT);
        let new = root(&changed);
        let differing: Vec<_> = new.iter().filter(|fact| !old.contains(fact)).collect();
        assert_eq!(differing.len(), 1);
        assert_eq!(differing[0].label, label);
    }

    #[test]
    fn a_setting_that_cargo_may_gain_counts() {
        assert_ne!(
            root(ROOT),
            root(&format!("{ROOT}\n[hints]\nmostly-unused = true"))
        );
    }

    #[test]
    fn a_member_has_no_profiles_and_its_targets_and_lints_do_not_count() {
        let member =
            |text: &str| manifest_facts("a/Cargo.toml", &table(text), ManifestRole::Member);
        let plain = member("[package]\nname = \"a\"");
        assert_eq!(
            member(
                "[package]\nname = \"a\"\nversion = \"3.0.0\"\n[profile.dev]\nopt-level = 3\n[lints]\nworkspace = true\n\
                 [[bin]]\nname = \"x\"\n[lib]\nname = \"y\""
            ),
            plain
        );
        assert_ne!(
            member("[package]\nname = \"a\"\n[lib]\nproc-macro = true"),
            plain
        );
        assert_ne!(member("[package]\nname = \"a\"\n[features]\nx = []"), plain);
    }

    #[test]
    fn the_dependencies_of_one_platform_count_and_stand_in_for_a_lockfile() {
        let manifest =
            table("[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n[profile.dev]\ndebug = 1");
        let facts = dependency_facts("Cargo.toml", &manifest, ManifestRole::Root);
        assert_eq!(facts.len(), 1);
        assert_eq!(facts[0].label, "Cargo.toml [target.cfg(unix).dependencies]");
    }

    #[test]
    fn no_secret_of_a_manifest_is_told() {
        let facts = root(
            "[dependencies]\nx = { git = \"https://me:hunter2@example.org/x\" }\n\
             [patch.\"https://me:hunter2@example.org/x\"]\nx = { path = \"x\" }",
        );
        assert!(!format!("{facts:?}").contains("hunter2"));
    }

    const CONFIG: &str = r#"
[build]
rustflags = ["-Dwarnings"]
jobs = 4
[target.x86_64-unknown-linux-gnu]
linker = "clang"
runner = "qemu"
[env]
SECRET = "hunter2"
[registries.mine]
index = "sparse+https://example.org/"
token = "hunter2"
[registry]
token = "hunter2"
[net]
retry = 3
"#;

    #[test]
    fn of_the_configuration_names_are_told_and_no_values() {
        let facts = config_facts(".cargo/config.toml", &table(CONFIG));
        let labels: Vec<_> = facts.iter().map(|fact| fact.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                ".cargo/config.toml [build]",
                ".cargo/config.toml [env.SECRET]",
                ".cargo/config.toml [registries.mine]",
                ".cargo/config.toml [target.x86_64-unknown-linux-gnu]",
            ]
        );
        assert!(!format!("{facts:?}").contains("hunter2"));
    }

    #[rstest::rstest]
    #[case(
        "jobs = 4",
        "jobs = 8\ntarget-dir = \"x\"\nrustc-wrapper = \"sccache\"",
        false
    )]
    #[case("runner = \"qemu\"", "runner = \"wine\"", false)]
    #[case("retry = 3", "offline = true", false)]
    #[case("token = \"hunter2\"", "token = \"other\"", false)]
    #[case("-Dwarnings", "-Cdebuginfo=1", true)]
    #[case("linker = \"clang\"", "linker = \"gcc\"", true)]
    #[case("SECRET = \"hunter2\"", "SECRET = \"other\"", true)]
    fn of_the_configuration_counts_what_changes_a_build(
        #[case] from: &str,
        #[case] to: &str,
        #[case] counts: bool,
    ) {
        let changed = CONFIG.replace(from, to);
        assert_ne!(changed, CONFIG, "the case must change something");
        let of = |text: &str| config_facts("c", &table(text));
        assert_eq!(of(&changed) != of(CONFIG), counts);
    }

    #[test]
    fn both_forms_of_a_toolchain_file_are_read_and_comments_do_not_count() {
        let of = |text| toolchain_file_fact("rust-toolchain", text);
        assert_eq!(of("1.95.0\n"), of("1.95.0"));
        assert_ne!(of("1.95.0"), of("1.94.0"));
        assert_eq!(
            of("# why\n[toolchain]\nchannel = \"1.95.0\""),
            of("[toolchain]\nchannel = '1.95.0'")
        );
    }

    #[test]
    fn a_native_flag_is_found_wherever_it_stands() {
        let asks = |text| asks_for_native(&table(text));
        assert!(asks("[build]\nrustflags = [\"-C\", \"target-cpu=native\"]"));
        assert!(asks(
            "[target.'cfg(unix)']\nrustflags = \"-Ctarget-cpu=native\""
        ));
        assert!(!asks("[build]\ntarget = \"native\""));
    }
}
