//! Packages from everywhere: where a unit belongs is told by where its sources lie, never by its name.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::support::{
    Sandbox, Source, checkout, copy_tree, entries_of_store, fixture, git, libraries, members,
    package, replace_in, unversioned, vendor,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];
const BUILD_OFFLINE: [&str; 5] = ["cargo", "build", "--locked", "--offline", "-v"];

#[test]
fn a_git_dependency_is_warm_and_works_offline() {
    let sandbox = Sandbox::new();
    let repository = git_repository(&sandbox);
    let template = template_with_lent(&sandbox, &repository);
    sandbox.empty_cargo_home();

    let cold = sandbox
        .hotcrate(&checkout(&sandbox, &template, "first"))
        .run(&BUILD)
        .success();
    assert!(
        cold.build
            .compiled
            .iter()
            .any(|package| package.name == "lent" && package.source == Source::Git)
    );
    sandbox.empty_cargo_home();
    // What is offline stays so: not even the repository is there.
    fs::rename(&repository, sandbox.path("gone")).unwrap();
    sandbox
        .hotcrate(&checkout(&sandbox, &template, "second"))
        .run(&BUILD_OFFLINE)
        .success()
        .warm();
}

/// The pattern of packages that build a tool into OUT_DIR and tell where it is, such as protobuf-src.
#[test]
fn a_dependency_that_holds_the_path_of_the_target_directory_is_compiled_anew_elsewhere_and_named() {
    let sandbox = Sandbox::new();
    let lent = sandbox.path("lent-template");
    package(&lent, "lent");
    fs::write(lent.join("build.rs"), "fn main() {}\n").unwrap();
    fs::write(
        lent.join("src/lib.rs"),
        "pub fn place() -> &'static str { env!(\"OUT_DIR\") }\n",
    )
    .unwrap();
    let repository = checkout(&sandbox, &lent, "lent.git");
    let template = template_with_lent(&sandbox, &repository);
    let run = |name: &str| {
        let clone = checkout(&sandbox, &template, name);
        sandbox.hotcrate(&clone).run(&BUILD).success()
    };
    run("first");

    let elsewhere = run("second");
    let compiled: Vec<_> = elsewhere
        .build
        .compiled_dependency_names()
        .into_iter()
        .collect();
    assert_eq!(compiled, ["lent"], "{}", elsewhere.stderr);
    let report = elsewhere.report();
    assert!(
        report.restore("deps").reason().contains("lent"),
        "{report:?}"
    );
    assert!(report.explains_rebuilding("lent"), "{report:?}");
}

#[test]
fn a_changed_git_revision_compiles_that_package_anew() {
    let sandbox = Sandbox::new();
    let repository = git_repository(&sandbox);
    let template = template_with_lent(&sandbox, &repository);
    sandbox
        .hotcrate(&checkout(&sandbox, &template, "first"))
        .run(&BUILD)
        .success();

    fs::write(repository.join("src/lib.rs"), "//! Lent, and changed.\n").unwrap();
    git(
        &sandbox,
        &repository,
        &["commit", "--quiet", "--all", "--message", "change"],
    );
    sandbox.cargo(&template, &["update", "--package", "lent"]);
    sandbox.empty_cargo_home();
    let run = sandbox
        .hotcrate(&checkout(&sandbox, &template, "second"))
        .run(&BUILD)
        .success();
    let compiled: Vec<_> = run.build.compiled_dependency_names().into_iter().collect();
    assert_eq!(compiled, ["lent"], "{}", run.stderr);
    assert_eq!(run.report().save("registry").outcome, "saved");

    sandbox.empty_cargo_home();
    fs::rename(&repository, sandbox.path("gone")).unwrap();
    sandbox
        .hotcrate(&checkout(&sandbox, &template, "third"))
        .run(&BUILD_OFFLINE)
        .success()
        .warm();
}

#[test]
fn vendored_sources_are_no_dependencies_of_cargo_home() {
    let sandbox = Sandbox::new();
    let template = sandbox.path("template");
    copy_tree(&fixture("small"), &template);
    vendor(&sandbox, &template);
    for name in ["first", "second"] {
        sandbox.empty_cargo_home();
        let clone = checkout(&sandbox, &template, name);
        let run = sandbox.hotcrate(&clone).run(&BUILD).success();
        assert_eq!(run.warnings(), Vec::<&str>::new());
    }
    for entry in entries_of_store(&sandbox.store(), Some("deps")) {
        let names = members(&entry);
        assert!(!names.iter().any(|name| name.contains("itoa")), "{names:?}");
    }
}

/// Its source is there when it was compiled, and not on the next machine.
#[test]
fn a_macro_from_a_registry_is_judged_by_its_source_and_the_verdict_is_stored() {
    let sandbox = Sandbox::new();
    let template = sandbox.path("template");
    copy_tree(&fixture("small"), &template);
    replace_in(
        &template.join("greeting/Cargo.toml"),
        "[dependencies]\n",
        "[dependencies]\nindoc = \"2\"\n",
    );
    fs::write(template.join("README.md"), "one").unwrap();
    sandbox.cargo(&template, &["generate-lockfile"]);
    let run = |clone: &Path| sandbox.hotcrate(clone).run(&BUILD).success();
    let lay_out = || {
        let clone = checkout(&sandbox, &template, "clone");
        sandbox.empty_cargo_home();
        clone
    };
    run(&lay_out());
    fs::rename(sandbox.path("clone"), sandbox.path("gone")).unwrap();
    fs::write(template.join("README.md"), "two").unwrap();
    let second = run(&lay_out());
    assert!(second.build.compiled.is_empty(), "{}", second.stderr);
}

#[test]
fn a_path_package_called_like_a_registry_package_is_told_apart() {
    let sandbox = Sandbox::new();
    let template = sandbox.path("template");
    copy_tree(&fixture("small"), &template);
    let own = template.join("itoa");
    fs::create_dir_all(own.join("src")).unwrap();
    fs::write(
        own.join("Cargo.toml"),
        "[package]\nname = \"itoa\"\nversion = \"9.0.0\"\nedition = \"2024\"\n",
    )
    .unwrap();
    fs::write(own.join("src/lib.rs"), "//! Ours.\n").unwrap();
    replace_in(
        &template.join("Cargo.toml"),
        "\"greeting\"",
        "\"greeting\", \"itoa\"",
    );
    replace_in(
        &template.join("greeting/Cargo.toml"),
        "[dependencies]\n",
        "[dependencies]\nours = { package = \"itoa\", path = \"../itoa\" }\n",
    );
    sandbox.cargo(&template, &["generate-lockfile"]);
    sandbox
        .hotcrate(&checkout(&sandbox, &template, "first"))
        .run(&BUILD)
        .success();
    sandbox.empty_cargo_home();
    let run = sandbox
        .hotcrate(&checkout(&sandbox, &template, "second"))
        .run(&BUILD)
        .success()
        .warm();
    assert!(
        run.build
            .compiled
            .iter()
            .any(|package| package.name == "itoa" && package.source == Source::Path)
    );
    for entry in entries_of_store(&sandbox.store(), Some("deps")) {
        let libraries = libraries(&members(&entry), "itoa");
        assert_eq!(libraries, 1, "the registry's, not ours");
    }
}

#[test]
fn a_cargo_home_inside_the_repository_is_told_from_the_workspace() {
    let mut sandbox = Sandbox::new();
    let clone = sandbox.path("clone");
    sandbox.set("CARGO_HOME", clone.join(".cargo-home"));
    let lay_out = || {
        checkout(&sandbox, &fixture("small"), "clone");
        fs::write(clone.join(".gitignore"), "/target\n/.cargo-home\n").unwrap();
    };
    lay_out();
    sandbox.hotcrate(&clone).run(&BUILD).success();
    // Fingerprints hold the absolute CARGO_HOME: the second clone is to lie where the first did.
    fs::rename(&clone, sandbox.path("moved-away")).unwrap();
    lay_out();
    sandbox
        .hotcrate(&clone)
        .run(&BUILD_OFFLINE)
        .success()
        .warm();
}

#[test]
fn a_path_dependency_outside_the_workspace_is_compiled_from_its_own_sources() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path("outside");
    package(&outside, "outside");
    let lay_out = |name: &str| {
        let clone = unversioned(&sandbox, &fixture("small"), name);
        replace_in(
            &clone.join("greeting/Cargo.toml"),
            "[dependencies]\n",
            "[dependencies]\noutside = { path = \"../../outside\" }\n",
        );
        sandbox.cargo(&clone, &["metadata", "--format-version", "1", "--quiet"]);
        clone
    };
    sandbox.hotcrate(&lay_out("first")).run(&BUILD).success();
    fs::write(outside.join("src/lib.rs"), "compile_error!(\"newer\");").unwrap();
    let second = sandbox.hotcrate(&lay_out("second")).run(&BUILD);
    assert!(
        !second.status.success(),
        "a stale build:\n{}",
        second.stderr
    );
}

/// The small workspace with a dependency `lent` from a git repository, and a lockfile that names it.
fn template_with_lent(sandbox: &Sandbox, repository: &Path) -> PathBuf {
    let template = sandbox.path("template");
    copy_tree(&fixture("small"), &template);
    replace_in(
        &template.join("greeting/Cargo.toml"),
        "[dependencies]\n",
        &format!(
            "[dependencies]\nlent = {{ git = \"file://{}\" }}\n",
            repository.display()
        ),
    );
    sandbox.cargo(&template, &["generate-lockfile"]);
    template
}

/// A repository with one package, `lent`.
fn git_repository(sandbox: &Sandbox) -> PathBuf {
    let template = sandbox.path("lent-template");
    package(&template, "lent");
    checkout(sandbox, &template, "lent.git")
}
