//! Projects and machines that are not as one would like them: a warning at most, and the command runs.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::support::{
    Finished, Sandbox, checkout, entries_of_store, fixture, replace_in, unversioned,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

#[test]
fn a_broken_manifest_is_one_warning_and_changes_no_entry() {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    let stored = entries_of_store(&sandbox.store(), None);
    assert!(!stored.is_empty());

    let second = checkout(&sandbox, &fixture("small"), "second");
    replace_in(
        &second.join("app/Cargo.toml"),
        "[dependencies]",
        "[dependencies",
    );
    let run = sandbox
        .hotcrate(&second)
        .run(&[env!("CARGO_BIN_EXE_hotcrate"), "--version"])
        .success();
    assert!(run.stdout.starts_with("hotcrate "), "the command ran");
    assert_eq!(run.warnings().len(), 1, "{}", run.stderr);
    assert!(run.warnings()[0].contains("Cargo.toml"), "{}", run.stderr);
    assert_eq!(entries_of_store(&sandbox.store(), None), stored);

    let third = checkout(&sandbox, &fixture("small"), "third");
    sandbox.empty_cargo_home();
    sandbox.hotcrate(&third).run(&BUILD).success().warm();
}

#[test]
fn a_project_without_a_lockfile_is_cached_by_its_manifests() {
    let sandbox = Sandbox::new();
    let build = ["cargo", "build", "-v"];
    for name in ["first", "second"] {
        sandbox.empty_cargo_home();
        let clone = unversioned(&sandbox, &fixture("small"), name);
        fs::remove_file(clone.join("Cargo.lock")).unwrap();
        let run = sandbox.hotcrate(&clone).run(&build).success();
        assert_eq!(run.warnings(), Vec::<&str>::new(), "a note is enough");
        assert!(
            run.stderr
                .lines()
                .any(|line| line.starts_with("hotcrate:") && line.contains("Cargo.lock")),
            "it says what a missing lockfile costs:\n{}",
            run.stderr
        );
        if name == "second" {
            run.warm();
        }
    }
}

#[test]
fn a_virtual_workspace_and_a_single_package_both_start_warm() {
    for project in [small_workspace, single_package] {
        let sandbox = Sandbox::new();
        starts_warm(&sandbox, |name| project(&sandbox, name));
    }
}

#[test]
fn several_workspaces_with_targets_of_their_own_are_one_project() {
    let sandbox = Sandbox::new();
    let script = "cargo build --locked -v --manifest-path tools/Cargo.toml --target-dir out/tools \
                  && cargo build --locked -v --manifest-path service/Cargo.toml";
    let run = |name: &str| {
        sandbox.empty_cargo_home();
        let clone = sandbox.path(name);
        for workspace in ["tools", "service"] {
            crate::support::copy_tree(&fixture("small"), &clone.join(workspace));
        }
        sandbox
            .hotcrate(&clone)
            .option("--workspaces", "tools -> ../out/tools\nservice")
            .run(&["sh", "-c", script])
            .success()
    };
    if cfg!(windows) {
        return;
    }
    run("first");
    let warm = run("second").warm();
    assert_eq!(warm.report().restore("deps").outcome, "exact");
}

#[test]
fn a_target_directory_named_in_the_environment_or_the_configuration_is_found() {
    for configured in [false, true] {
        let mut sandbox = Sandbox::new();
        if !configured {
            let target = sandbox.path("shared-target");
            sandbox.set("CARGO_TARGET_DIR", target);
        }
        starts_warm(&sandbox, |name| {
            let clone = small_workspace(&sandbox, name);
            let elsewhere = sandbox.path("shared-target");
            if elsewhere.exists() {
                fs::remove_dir_all(elsewhere).unwrap();
            }
            if configured {
                fs::create_dir(clone.join(".cargo")).unwrap();
                fs::write(
                    clone.join(".cargo/config.toml"),
                    "[build]\ntarget-dir = \"artefacts\"\n",
                )
                .unwrap();
            }
            clone
        });
    }
}

#[cfg(unix)]
#[test]
fn a_machine_without_git_and_a_project_without_a_repository_start_warm() {
    let mut sandbox = Sandbox::new();
    let programs = programs_but(&sandbox, &["git"]);
    let path = format!("{}:{}", toolchain(&sandbox).display(), programs.display());
    sandbox.set("PATH", path);
    starts_warm(&sandbox, |name| {
        unversioned(&sandbox, &fixture("small"), name)
    });
}

#[cfg(unix)]
#[test]
fn a_machine_without_rustup_starts_warm() {
    let mut sandbox = Sandbox::new();
    let programs = programs_but(&sandbox, &["cargo", "rustc", "rustup"]);
    let path = format!("{}:{}", toolchain(&sandbox).display(), programs.display());
    sandbox.set("PATH", path);
    sandbox.set("RUSTUP_HOME", "/nonexistent");
    starts_warm(&sandbox, |name| small_workspace(&sandbox, name));
}

#[test]
fn a_machine_without_cargo_still_runs_the_command() {
    let sandbox = Sandbox::new();
    let clone = small_workspace(&sandbox, "clone");
    let run = sandbox
        .hotcrate(&clone)
        .env("PATH", sandbox.path("home"))
        .run(&[env!("CARGO_BIN_EXE_hotcrate"), "--version"])
        .success();
    assert!(run.stdout.starts_with("hotcrate "));
    assert_eq!(run.warnings().len(), 1, "{}", run.stderr);
}

#[test]
fn a_toolchain_that_is_not_installed_is_not_installed_by_hotcrate() {
    let sandbox = Sandbox::new();
    let clone = small_workspace(&sandbox, "clone");
    fs::write(clone.join("rust-toolchain"), "1.0.0-no-such\n").unwrap();
    let run = sandbox
        .hotcrate(&clone)
        .run(&[env!("CARGO_BIN_EXE_hotcrate"), "--version"])
        .success();
    assert!(run.stdout.starts_with("hotcrate "));
    assert!(run.warnings().len() <= 1, "{}", run.stderr);
}

/// A file where a directory would have to be.
fn a_file(sandbox: &Sandbox) -> PathBuf {
    let file = sandbox.path("a-file");
    fs::write(&file, "not a directory").unwrap();
    file
}

#[test]
fn a_store_that_cannot_be_written_fails_no_job() {
    let sandbox = Sandbox::new();
    let clone = small_workspace(&sandbox, "clone");
    let file = a_file(&sandbox);
    let run = sandbox
        .hotcrate(&clone)
        .store(file.join("store"))
        .run(&BUILD)
        .success();
    assert!(!run.warnings().is_empty());
    assert!(run.build.has_compiled("app"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a directory");
}

#[test]
fn strict_lets_trouble_with_the_cache_fail_the_job() {
    let sandbox = Sandbox::new();
    let clone = small_workspace(&sandbox, "clone");
    let run = sandbox
        .hotcrate(&clone)
        .store(a_file(&sandbox).join("store"))
        .flag("--strict")
        .run(&BUILD);
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    assert!(
        run.build.has_compiled("app"),
        "the command runs all the same"
    );
}

#[test]
fn a_machine_without_a_home_runs_the_command() {
    let sandbox = Sandbox::new();
    let clone = small_workspace(&sandbox, "clone");
    for with_store in [true, false] {
        let hotcrate = sandbox.hotcrate(&clone).without_env("HOME");
        let hotcrate = if with_store {
            hotcrate
        } else {
            hotcrate.default_store()
        };
        let run = hotcrate
            .run(&[env!("CARGO_BIN_EXE_hotcrate"), "--version"])
            .success();
        assert!(run.stdout.starts_with("hotcrate "));
    }
}

#[test]
fn without_a_setting_the_store_lies_in_the_cache_directory_of_the_home() {
    let sandbox = Sandbox::new();
    let clone = small_workspace(&sandbox, "clone");
    sandbox
        .hotcrate(&clone)
        .default_store()
        .run(&BUILD)
        .success();
    assert!(!entries_of_store(&sandbox.path("home"), Some("deps")).is_empty());
}

#[test]
fn a_directory_without_a_project_is_one_warning() {
    let sandbox = Sandbox::new();
    let empty = sandbox.path("empty");
    fs::create_dir(&empty).unwrap();
    let run = sandbox
        .hotcrate(&empty)
        .run(&[env!("CARGO_BIN_EXE_hotcrate"), "--version"])
        .success();
    assert!(run.stdout.starts_with("hotcrate "));
    assert_eq!(run.warnings().len(), 1, "{}", run.stderr);
    assert!(entries_of_store(&sandbox.store(), None).is_empty());
}

/// Builds in two clones that `clone` makes, each on an empty machine; the second must be warm.
#[track_caller]
fn starts_warm(sandbox: &Sandbox, clone: impl Fn(&str) -> PathBuf) {
    let run = |directory: &Path| -> Finished { sandbox.hotcrate(directory).run(&BUILD).success() };
    let cold = run(&clone("first"));
    assert!(!cold.build.compiled_dependencies().is_empty());
    sandbox.empty_cargo_home();
    let warm = run(&clone("second")).warm();
    assert_eq!(warm.warnings(), Vec::<&str>::new());
}

fn small_workspace(sandbox: &Sandbox, name: &str) -> PathBuf {
    checkout(sandbox, &fixture("small"), name)
}

/// A package without a workspace, made of the small workspace's library.
fn single_package(sandbox: &Sandbox, name: &str) -> PathBuf {
    let clone = sandbox.path(name);
    crate::support::copy_tree(&fixture("small/greeting"), &clone);
    fs::copy(fixture("small/Cargo.lock"), clone.join("Cargo.lock")).unwrap();
    // The workspace's lockfile names more than this package needs.
    sandbox.cargo(&clone, &["metadata", "--format-version", "1", "--quiet"]);
    sandbox.empty_cargo_home();
    clone
}

/// The directory of the real cargo and rustc, past rustup's proxies.
#[cfg(unix)]
fn toolchain(sandbox: &Sandbox) -> PathBuf {
    let output = sandbox
        .command("rustc", &sandbox.path("home"))
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    Path::new(String::from_utf8(output.stdout).unwrap().trim()).join("bin")
}

/// A directory with links to every program on PATH but some.
#[cfg(unix)]
fn programs_but(sandbox: &Sandbox, left_out: &[&str]) -> PathBuf {
    let programs = sandbox.path("programs");
    fs::create_dir(&programs).unwrap();
    for directory in ["/usr/local/bin", "/usr/bin", "/bin"] {
        for program in fs::read_dir(directory).into_iter().flatten().flatten() {
            let link = programs.join(program.file_name());
            let name = program.file_name();
            let unwanted = left_out.iter().any(|unwanted| name == *unwanted);
            if !unwanted && !link.exists() {
                // A link of that name that leads nowhere: the next directory's would not be found first either.
                let _taken = fs_err::os::unix::fs::symlink(program.path(), link);
            }
        }
    }
    programs
}
