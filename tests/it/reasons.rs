//! Why units were compiled, as a run tells it of builds by real Cargo, on both of its layouts.
//!
//! The project is built once a layout; each test works on a copy of it, which Cargo finds fresh.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use fs_err as fs;
use rstest::rstest;

use crate::support::{Finished, Sandbox, replace_in};

const BUILD: [&str; 4] = ["cargo", "build", "--offline", "--workspace"];

/// Which of Cargo's layouts the target directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    V1,
    V2,
}

static V1: LazyLock<Sandbox> = LazyLock::new(|| built(Layout::V1));
static V2: LazyLock<Sandbox> = LazyLock::new(|| built(Layout::V2));

fn sandbox(layout: Layout) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("CARGO_INCREMENTAL", "0");
    sandbox.set("PYO3_PYTHON", "/opt/envs/tmp-1/bin/python");
    if layout == Layout::V2 {
        sandbox.set("RUSTC_BOOTSTRAP", "1");
        sandbox.set("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true");
    }
    sandbox
}

fn built(layout: Layout) -> Sandbox {
    let sandbox = sandbox(layout);
    let project = sandbox.path("project");
    let package = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}")
    };
    let files = [
        ("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"core\", \"scan\", \"app\"]\n".to_owned()),
        ("core/Cargo.toml", package("core-x", "[features]\nextra = []\n")),
        ("core/build.rs", "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    println!(\"cargo:rerun-if-env-changed=PYO3_PYTHON\");\n}\n".to_owned()),
        ("core/src/lib.rs", "pub fn two() -> u32 {\n    2\n}\n".to_owned()),
        ("scan/Cargo.toml", package("scan", "")),
        ("scan/build.rs", "fn main() {}\n".to_owned()),
        ("scan/src/lib.rs", String::new()),
        ("app/Cargo.toml", package("app", "[dependencies]\ncore-x = { path = \"../core\" }\nscan = { path = \"../scan\" }\n")),
        ("app/src/main.rs", "fn main() {\n    let greeting = option_env!(\"GREETING\");\n    println!(\"{greeting:?} {} {}\", include_str!(\"../note.txt\"), core_x::two());\n}\n".to_owned()),
        ("app/note.txt", "note".to_owned()),
    ];
    for (name, text) in files {
        let path = project.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    sandbox.cargo(&project, &BUILD[1..]);
    sandbox
}

/// A copy of the built project, and a sandbox to go on in.
fn copy(layout: Layout) -> (Sandbox, PathBuf) {
    let origin = match layout {
        Layout::V1 => &*V1,
        Layout::V2 => &*V2,
    };
    let sandbox = sandbox(layout);
    let project = sandbox.path("project");
    let copied = sandbox
        .command("cp", &sandbox.path("."))
        .arg("-a")
        .args([origin.path("project"), project.clone()])
        .status()
        .unwrap();
    assert!(copied.success());
    (sandbox, project)
}

fn run(sandbox: &Sandbox, project: &Path, command: &[&str]) -> Finished {
    sandbox
        .hotcrate(project)
        .option("--tiers", "deps")
        .run(command)
        .success()
}

/// What was compiled and why, a line each.
fn told(run: &Finished) -> String {
    let units = &run.report().units.compiled;
    let lines = units
        .iter()
        .map(|unit| format!("{}: {}", unit.unit, unit.reason));
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines.join("\n")
}

/// Runs a build and tells what it compiled and why.
fn build(sandbox: &Sandbox, project: &Path) -> String {
    told(&run(sandbox, project, &BUILD))
}

#[rstest]
fn an_unchanged_project_compiles_nothing(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let (sandbox, project) = copy(layout);
    let run = run(&sandbox, &project, &BUILD);
    assert_eq!(told(&run), "");
    assert_eq!(run.report().units.rebuilt, Some(0));
    assert!(run.report().units.reused > Some(5));
}

#[rstest]
fn a_source_that_changed_is_named_and_so_is_the_package_for_its_dependents(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let (mut sandbox, project) = copy(layout);
    sandbox.set("CARGO_LOG", "cargo::core::compiler::fingerprint=info");
    replace_in(&project.join("core/src/lib.rs"), "2\n", "3\n");
    let run = run(&sandbox, &project, &BUILD);
    insta::allow_duplicates! {
        insta::assert_snapshot!(told(&run), @r"
        app (executable, debug): depends on core-x, which changed
        core-x (library, debug): src/lib.rs changed
        ");
    }
    assert!(
        run.stderr
            .contains("          core-x: src/lib.rs changed; 1 unit, and 1 that depends on it"),
        "{}",
        run.stderr
    );
    // Cargo itself says the same, at more length.
    assert!(run.stderr.contains("core/src/lib.rs\""), "{}", run.stderr);
    assert!(run.stderr.contains("StaleDepFingerprint"), "{}", run.stderr);
}

#[rstest]
fn a_file_that_is_included_is_named(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let (sandbox, project) = copy(layout);
    fs::write(project.join("app/note.txt"), "another").unwrap();
    assert_eq!(
        build(&sandbox, &project),
        "app (executable, debug): note.txt changed"
    );
}

#[rstest]
fn a_variable_of_a_build_script_is_named_with_its_values(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let (mut sandbox, project) = copy(layout);
    sandbox.set("PYO3_PYTHON", "/opt/envs/tmp-2/bin/python");
    sandbox.set("CARGO_LOG", "cargo::core::compiler::fingerprint=info");
    let run = run(&sandbox, &project, &BUILD);
    insta::allow_duplicates! {
        insta::assert_snapshot!(told(&run), @r"
        app (executable, debug): depends on core-x, whose build script ran again: env PYO3_PYTHON changed: …/tmp-1/… → …/tmp-2/…
        core-x (build script run, debug): env PYO3_PYTHON changed: …/tmp-1/… → …/tmp-2/…
        core-x (library, debug): its build script ran again: env PYO3_PYTHON changed: …/tmp-1/… → …/tmp-2/…
        ");
    }
    assert!(
        run.stderr.contains("EnvVarChanged { name: \"PYO3_PYTHON\""),
        "{}",
        run.stderr
    );
}

#[rstest]
fn a_variable_of_a_crate_is_named_and_its_value_only_if_it_tells_no_secret(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let (mut sandbox, project) = copy(layout);
    sandbox.set("GREETING", "hello");
    assert_eq!(
        build(&sandbox, &project),
        "app (executable, debug): env GREETING was set: hello"
    );
    sandbox.set("GREETING", "postgres://user:password@host/name");
    let run = run(&sandbox, &project, &BUILD);
    assert_eq!(told(&run), "app (executable, debug): env GREETING changed");
    assert!(!run.stderr.contains("password"), "{}", run.stderr);
}

#[rstest]
fn a_script_that_declares_nothing_is_told_with_the_file_that_made_it_run(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let (sandbox, project) = copy(layout);
    fs::write(project.join("scan/new.txt"), "").unwrap();
    insta::allow_duplicates! {
        insta::assert_snapshot!(build(&sandbox, &project), @r"
        app (executable, debug): depends on scan, whose build script ran again: its build script declares no inputs and new.txt changed
        scan (build script run, debug): its build script declares no inputs and new.txt changed
        scan (library, debug): its build script ran again: its build script declares no inputs and new.txt changed
        ");
    }
}

#[rstest]
fn a_script_that_was_edited_is_the_reason_of_all_that_it_made(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let (sandbox, project) = copy(layout);
    replace_in(
        &project.join("core/build.rs"),
        "fn main() {",
        "fn main() {\n    // More.",
    );
    insta::allow_duplicates! {
        insta::assert_snapshot!(build(&sandbox, &project), @r"
        app (executable, debug): depends on core-x, whose build script ran again: build.rs changed
        core-x (build script run, debug): build.rs changed
        core-x (build script, debug): build.rs changed
        core-x (library, debug): its build script ran again: build.rs changed
        ");
    }
}

#[rstest]
fn other_features_are_told_by_name(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let (sandbox, project) = copy(layout);
    let command = [
        "cargo",
        "build",
        "--offline",
        "-p",
        "core-x",
        "--features",
        "extra",
    ];
    insta::allow_duplicates! {
        insta::assert_snapshot!(told(&run(&sandbox, &project, &command)), @r"
        core-x (build script run, debug): its build script ran again: features changed: +extra
        core-x (build script, debug): features changed: +extra
        core-x (library, debug): features changed: +extra
        ");
    }
}

#[rstest]
#[case::profile("CARGO_PROFILE_DEV_OPT_LEVEL", "1", "profile changed")]
#[case::flags("RUSTFLAGS", "--cfg marked", "rustflags changed: +--cfg +marked")]
fn settings_of_the_whole_build_are_one_cause(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] variable: &str,
    #[case] value: &str,
    #[case] cause: &str,
) {
    let (mut sandbox, project) = copy(layout);
    sandbox.set(variable, value);
    let run = run(&sandbox, &project, &BUILD);
    assert!(run.report().units.compiled.len() > 2);
    for unit in &run.report().units.compiled {
        assert!(unit.reason.contains(cause), "{}", told(&run));
    }
    assert!(
        run.stderr.contains(&format!("          {cause}; ")),
        "{}",
        run.stderr
    );
}

#[rstest]
fn another_toolchain_is_one_cause(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let (mut sandbox, project) = copy(layout);
    let compiler = sandbox.path("rustc");
    let real = sandbox
        .command("rustc", &sandbox.path("."))
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    let real = Path::new(String::from_utf8(real.stdout).unwrap().trim()).join("bin/rustc");
    // Cargo tells compilers apart by what they say of themselves.
    let script = format!(
        "#!/bin/sh\n{real} \"$@\" || exit $?\nif [ \"$1\" = -vV ]; then echo 'built: again'; fi\n",
        real = real.display()
    );
    fs::write(&compiler, script).unwrap();
    fs::set_permissions(
        &compiler,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    sandbox.set("RUSTC", &compiler);
    let run = run(&sandbox, &project, &BUILD);
    for unit in &run.report().units.compiled {
        assert_eq!(unit.reason, "toolchain changed", "{}", told(&run));
    }
    assert!(run.report().units.compiled.len() > 5, "{}", told(&run));
}

#[rstest]
fn an_output_that_is_gone_is_the_reason(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let (sandbox, project) = copy(layout);
    let library = walkdir::WalkDir::new(project.join("target"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .find(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("libcore_x")
                && path
                    .extension()
                    .is_some_and(|extension| extension == "rlib")
                && name.contains('-')
        });
    fs::remove_file(library.unwrap()).unwrap();
    insta::allow_duplicates! {
        insta::assert_snapshot!(build(&sandbox, &project), @r"
        app (executable, debug): depends on core-x, which was compiled again
        core-x (library, debug): its output was missing
        ");
    }
}

#[rstest]
fn a_declared_file_that_does_not_exist_is_named_in_every_build(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let (sandbox, project) = copy(layout);
    replace_in(
        &project.join("core/build.rs"),
        "changed=build.rs",
        "changed=gone.txt",
    );
    build(&sandbox, &project);
    let told = build(&sandbox, &project);
    assert!(
        told.contains("core-x (build script run, debug): gone.txt is missing"),
        "{told}"
    );
}

#[rstest]
fn a_path_package_with_another_version_is_told_as_far_as_records_go(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let (sandbox, project) = copy(layout);
    replace_in(&project.join("scan/Cargo.toml"), "0.1.0", "0.2.0");
    insta::allow_duplicates! {
        insta::assert_snapshot!(build(&sandbox, &project), @r"
        app (executable, debug): depends on scan, whose build script ran again: its build script declares no inputs and Cargo.toml changed
        scan (build script run, debug): its build script declares no inputs and Cargo.toml changed
        scan (build script, debug): its version changed, or where its package comes from
        scan (library, debug): its build script ran again: its build script declares no inputs and Cargo.toml changed
        ");
    }
}

#[rstest]
fn a_command_that_nobody_ran_before_makes_units_that_were_not_there(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let (sandbox, project) = copy(layout);
    let command = ["cargo", "test", "--offline", "--no-run", "-p", "scan"];
    assert_eq!(
        told(&run(&sandbox, &project, &command)),
        "scan (test, debug): new: it was not there before"
    );
}
