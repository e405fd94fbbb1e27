//! The action in workflows, run by `act`: what a user of GitHub gets by the one-line step.

use std::path::Display;

use crate::support::{
    CacheService, HOTCRATE, Run, Runner, Sandbox, git,
    github::{Cache, FakeGitHub},
    read_report,
};

/// The inputs of a step, as they stand below `with:`.
fn with(sandbox: &Sandbox, more: &[&str]) -> String {
    let report = format!("report: {}", sandbox.path("report.json").display());
    [&[report.as_str()], more].concat().join("\n          ")
}

/// Keys of the entries of a tier that the service has.
fn stored(service: &CacheService, tier: &str) -> Vec<String> {
    let prefix = format!("hotcrate-v1-{tier}-");
    let keys = service.entries().into_iter().map(|entry| entry.key);
    keys.filter(|key| key.starts_with(&prefix)).collect()
}

/// A job `build` with the action in it, and what it says of its outputs.
fn job(sandbox: &Sandbox, inputs: &[&str]) -> String {
    let inputs = with(sandbox, inputs);
    format!(
        "  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: hotcrate
        uses: {HOTCRATE}
        with:
          {inputs}
      - run: |
          echo HIT=${{{{ steps.hotcrate.outputs.cache-hit }}}}
          echo SUPPORTED=${{{{ steps.hotcrate.outputs.supported }}}}
          echo DEPS=${{{{ steps.hotcrate.outputs.deps-outcome }}}}
          echo 'REASON=${{{{ steps.hotcrate.outputs.deps-reason }}}}'
          echo INCREMENTAL=$CARGO_INCREMENTAL
      - run: cargo build --locked -v
"
    )
}

/// How a job begins that has `header` for its name and what it needs: the project is put to `work`, and the action takes
/// `inputs`.
fn begin(header: &str, work: &Display<'_>, inputs: &str) -> String {
    format!(
        "  {header}
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: rm -rf {work} && cp -r . {work}
      - id: hotcrate
        uses: {HOTCRATE}
        with:
          {inputs}"
    )
}

/// The project is built at a path of its own: where act puts a checkout is another place each time, and on GitHub it is
/// not.
#[test]
fn a_second_run_on_main_compiles_nothing() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let work = sandbox.path("work");
    let work = work.display();
    let inputs = with(&sandbox, &[&format!("project: {work}")]);
    let begun = begin("build:", &work, &inputs);
    let jobs = format!(
        "{begun}
      - run: |
          echo HIT=${{{{ steps.hotcrate.outputs.cache-hit }}}}
          echo WORKSPACE=${{{{ steps.hotcrate.outputs.workspace-outcome }}}}
          echo INCREMENTAL=$CARGO_INCREMENTAL
      - run: cargo build --locked -v
        working-directory: {work}
"
    );
    let github = FakeGitHub::of(&service);
    let runner = Runner::new(&sandbox, &jobs)
        .service(&service, 2)
        .github(&github)
        .keeping_pages();
    // Of another tool, and of a branch that this run cannot read.
    let stored = |id, key: &str, scope: &str| Cache {
        id,
        key: key.to_owned(),
        scope: scope.to_owned(),
        bytes: 3_000_000_000,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        used_at: "2026-01-02T00:00:00Z".to_owned(),
    };
    let elsewhere = "hotcrate-v1-registry-11111111-22222222";
    github.state().caches = vec![
        stored(
            1,
            "v0-rust-test-Linux-x64-11111111-22222222",
            "refs/heads/main",
        ),
        stored(2, elsewhere, "refs/heads/feature"),
    ];
    let cold = runner.push("main").success();
    assert_page(
        &runner.page("build"),
        &[
            "| deps | **miss**: nothing is stored for this project yet |",
            " | **saved**: ",
            "**0 units reused, 8 compiled.**",
            "8 units compiled, and why</summary>",
            "- rustversion (procedural macro, debug)",
            "What is stored for this job where it found nothing that fits",
            &format!("| <code>{elsewhere}</code> | refs/heads/feature | 3.0 GB |"),
        ],
    );
    assert_eq!(cold.told("build", "HIT"), "false");
    assert_eq!(cold.told("build", "WORKSPACE"), "miss");
    assert_eq!(cold.told("build", "INCREMENTAL"), "0");
    assert_eq!(cold.build("build").compiled.len(), 6, "{}", cold.log);
    assert_eq!(cold.annotations("warning"), [""; 0], "{}", cold.log);

    sandbox.empty_cargo_home();
    let warm = runner.push("main").success();
    assert_eq!(warm.told("build", "HIT"), "true");
    assert_eq!(warm.told("build", "WORKSPACE"), "exact");
    let build = warm.build("build");
    assert!(build.compiled.is_empty(), "{}", warm.log);
    assert_eq!(build.fresh.len(), 6, "{}", warm.log);
    assert_eq!(warm.annotations("warning"), [""; 0], "{}", warm.log);
    let report = read_report(&sandbox.path("report.json"));
    assert_eq!(report.save("deps").outcome, "skipped");
    assert_page(
        &runner.page("build"),
        &[
            "| registry | **exact** | ",
            "| deps | **exact** | ",
            "| workspace | **exact** | ",
            " units reused, 0 compiled.** Compile time spared: **",
            "octo/crab: **6.0 GB of 10.0 GB** (60 %) in 5 entries",
            "\n```mermaid\npie showData title Caches of octo/crab",
            "    \"rust-cache\" : 3000.00\n",
            "\"hotcrate workspace\" : ",
            "    \"dead\" : 3000.00\n",
            "What is evicted next",
            "| refs/heads/feature | 3.0 GB | unused for ",
            "| Tier | Asked for | Found | Stored under |",
        ],
    );
}

/// Fails the test unless the page of a job says all of `words`.
#[track_caller]
fn assert_page(page: &str, words: &[&str]) {
    for words in words {
        assert!(page.contains(words), "{words}\n\n{page}");
    }
}

#[test]
fn the_committed_binary_keeps_dependencies_warm() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let jobs = job(&sandbox, &["tiers: registry,deps"]);
    let runner = Runner::new(&sandbox, &jobs).service(&service, 2);
    let Some(runner) = runner.with_committed_binary() else {
        return;
    };
    let cold = runner.push("main").success();
    assert_eq!(cold.told("build", "SUPPORTED"), "true");
    assert_eq!(cold.told("build", "DEPS"), "miss", "{}", cold.log);

    sandbox.empty_cargo_home();
    let warm = runner.push("main").success();
    assert_eq!(warm.told("build", "HIT"), "true");
    let build = warm.build("build");
    assert!(build.compiled_dependencies().is_empty(), "{}", warm.log);
}

/// act has a service of its own, which others wrote: of version 1.
#[test]
fn the_service_of_another_runner_keeps_entries_as_well() {
    let sandbox = Sandbox::new();
    let runner = Runner::new(&sandbox, &job(&sandbox, &["tiers: registry,deps"])).service_of_act();
    let cold = runner.push("main").success();
    assert_eq!(cold.told("build", "DEPS"), "miss", "{}", cold.log);
    let report = read_report(&sandbox.path("report.json"));
    assert_eq!(report.save("deps").outcome, "saved", "{}", cold.log);

    sandbox.empty_cargo_home();
    let warm = runner.push("main").success();
    assert_eq!(warm.told("build", "HIT"), "true");
    let build = warm.build("build");
    assert!(build.compiled_dependencies().is_empty(), "{}", warm.log);
    assert_eq!(build.fresh_dependencies().len(), 4, "{}", warm.log);
    assert_eq!(warm.annotations("warning"), [""; 0], "{}", warm.log);
    // Nothing was kept beside it.
    assert!(!sandbox.path("home/.cache/hotcrate").exists());
}

#[test]
fn a_service_that_dies_between_restore_and_save_is_one_warning() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let inputs = with(&sandbox, &["tiers: registry"]);
    let (restored, dead) = (sandbox.path("restored"), sandbox.path("dead"));
    let jobs = format!(
        "  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: {HOTCRATE}
        with:
          {inputs}
      - run: |
          touch {}
          until [ -e {} ]; do sleep 0.05; done
      - run: cargo fetch --locked && echo FETCHED=yes
",
        restored.display(),
        dead.display()
    );
    let runner = Runner::new(&sandbox, &jobs).service(&service, 2);
    let run = std::thread::scope(|scope| {
        let run = scope.spawn(|| runner.push("main"));
        while !restored.exists() && !run.is_finished() {
            std::thread::yield_now();
        }
        service.die();
        fs_err::write(&dead, "").unwrap();
        run.join().unwrap()
    });
    let run = run.success();
    assert_eq!(run.told("build", "FETCHED"), "yes");
    let warnings = run.annotations("warning");
    assert_eq!(warnings.len(), 1, "{}", run.log);
    assert!(
        warnings[0].starts_with("registry not saved: "),
        "{warnings:?}"
    );
}

#[test]
fn a_pull_request_restores_the_entry_of_main_and_saves_nothing() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let runner = Runner::new(&sandbox, &job(&sandbox, &[])).service(&service, 2);
    runner.push("main").success();
    let before = service.entries().len();
    assert_ne!(before, 0);

    sandbox.empty_cargo_home();
    git(
        &sandbox,
        &runner.repository,
        &["checkout", "--quiet", "-b", "feature"],
    );
    let pull_request = runner.pull_request("feature", "somebody").success();
    assert_eq!(pull_request.told("build", "DEPS"), "exact");
    assert!(
        pull_request
            .build("build")
            .compiled_dependencies()
            .is_empty(),
        "{}",
        pull_request.log
    );
    let report = read_report(&sandbox.path("report.json"));
    for tier in ["registry", "deps"] {
        let save = report.save(tier);
        assert_eq!(save.outcome, "skipped", "{tier}");
        assert!(
            save.reason().starts_with("pull requests"),
            "{}",
            save.reason()
        );
    }
    assert_eq!(service.entries().len(), before);
}

#[test]
fn a_platform_without_a_binary_goes_on_with_one_notice() {
    let sandbox = Sandbox::new();
    let runner = Runner::new(&sandbox, &job(&sandbox, &[])).without_binary();
    let run = runner.push("main").success();
    assert_eq!(run.told("build", "SUPPORTED"), "false");
    assert_eq!(run.told("build", "HIT"), "false");
    assert_eq!(run.told("build", "DEPS"), "skipped");
    assert_eq!(run.told("build", "INCREMENTAL"), "");
    assert_eq!(run.annotations("notice").len(), 1, "{}", run.log);
    assert_eq!(run.annotations("warning"), [""; 0]);
    assert_eq!(run.build("build").compiled_dependencies().len(), 4);
}

#[test]
fn dependabot_gets_the_entry_of_main_and_compiles_only_what_its_bump_changed() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let runner = Runner::new(&sandbox, &job(&sandbox, &[])).service(&service, 2);
    let repository = &runner.repository;
    let set_itoa = |version: &str| {
        sandbox.cargo(
            repository,
            &["update", "--quiet", "--precise", version, "itoa"],
        );
        git(
            &sandbox,
            repository,
            &["commit", "--quiet", "--all", "--message", "itoa"],
        );
    };
    set_itoa("1.0.17");
    runner.push("main").success();

    sandbox.empty_cargo_home();
    git(
        &sandbox,
        repository,
        &["checkout", "--quiet", "-b", "dependabot/cargo/itoa-1.0.18"],
    );
    set_itoa("1.0.18");
    sandbox.empty_cargo_home();
    let bump = runner
        .pull_request("dependabot/cargo/itoa-1.0.18", "dependabot[bot]")
        .success();
    assert_eq!(bump.told("build", "DEPS"), "partial");
    assert_eq!(bump.told("build", "REASON"), "lock: itoa 1.0.17 → 1.0.18");
    let compiled = bump
        .build("build")
        .compiled_dependency_names()
        .into_iter()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(compiled, "itoa", "{}", bump.log);
    assert_eq!(
        read_report(&sandbox.path("report.json"))
            .save("deps")
            .outcome,
        "skipped"
    );
}

/// The legs run one after the other, each with an empty CARGO_HOME, as on machines of their own.
#[test]
fn the_legs_of_a_matrix_keep_their_builds_apart_and_share_the_registry() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let inputs = with(&sandbox, &[]);
    let jobs = format!(
        "  build:
    runs-on: ubuntu-latest
    strategy:
      max-parallel: 1
      matrix:
        flags: ['', --release]
    steps:
      - uses: actions/checkout@v4
      - run: rm -rf $CARGO_HOME/*
      - id: hotcrate
        uses: {HOTCRATE}
        with:
          {inputs}
      - run: |
          echo DEPS=${{{{ steps.hotcrate.outputs.deps-outcome }}}}
          echo REGISTRY=${{{{ steps.hotcrate.outputs.registry-outcome }}}}
      - run: cargo build --locked -v ${{{{ matrix.flags }}}}
"
    );
    let runner = Runner::new(&sandbox, &jobs).service(&service, 2);
    let cold = runner.push("main").success();
    let outcomes = |run: &Run, name: &str| {
        let told = ["build-1", "build-2"].map(|leg| run.told(leg, name).to_owned());
        told.join(" ")
    };
    // The second leg to run finds what the first one stored: its downloads, and its builds as a start.
    let registry = outcomes(&cold, "REGISTRY");
    assert!(
        ["miss exact", "exact miss"].contains(&registry.as_str()),
        "{}",
        cold.log
    );
    let deps = outcomes(&cold, "DEPS");
    assert!(
        ["miss partial", "partial miss"].contains(&deps.as_str()),
        "{}",
        cold.log
    );
    let stored = |tier| stored(&service, tier).len();
    assert_eq!((stored("registry"), stored("deps")), (1, 2));

    let warm = runner.push("main").success();
    assert_eq!(outcomes(&warm, "DEPS"), "exact exact");
    for leg in ["build-1", "build-2"] {
        let build = warm.build(leg);
        assert!(build.compiled_dependencies().is_empty(), "{}", warm.log);
        assert_eq!(build.fresh_dependencies().len(), 4, "{}", warm.log);
    }
    assert_eq!((stored("registry"), stored("deps")), (1, 2));
}

#[test]
fn what_was_built_before_a_test_fails_is_kept_by_a_step_that_saves() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let inputs = with(&sandbox, &[]);
    let jobs = format!(
        "  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: {HOTCRATE}
        with:
          {inputs}
      - run: cargo build --locked -v
      - id: save
        uses: {HOTCRATE}
        with:
          {inputs}
          mode: save
      - run: echo SAVED=${{{{ steps.save.outputs.deps-outcome }}}}
      - run: exit 1
"
    );
    let runner = Runner::new(&sandbox, &jobs).service(&service, 1);
    let failed = runner.push("main");
    assert!(!failed.succeeded, "{}", failed.log);
    assert_eq!(failed.told("build", "SAVED"), "saved");
    // The end of the job, for either step, had nothing left to do.
    let saves = failed.log.matches("::group::hotcrate: save").count();
    assert_eq!(saves, 1, "{}", failed.log);
    assert_eq!(failed.annotations("warning"), [""; 0]);

    sandbox.empty_cargo_home();
    let warm = runner.push("main");
    let build = warm.build("build");
    assert!(build.compiled_dependencies().is_empty(), "{}", warm.log);
    assert_eq!(warm.told("build", "SAVED"), "skipped");
}

#[test]
fn a_job_that_needs_what_another_built_of_the_same_tree_does_not_build_it() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let work = sandbox.path("work");
    let work = work.display();
    let inputs = with(
        &sandbox,
        &[
            &format!("project: {work}"),
            "artifacts: target/debug/app",
            "artifacts-command: cargo build --locked",
        ],
    );
    let job = |header: &str| {
        let begun = begin(header, &work, &inputs);
        format!(
            "{begun}
      - if: steps.hotcrate.outputs.artifact-hit != 'true'
        run: cargo build --locked
        working-directory: {work}
      - run: |
          echo ARTIFACT=${{{{ steps.hotcrate.outputs.artifact-hit }}}}
          test -x target/debug/app && echo THERE=true
        working-directory: {work}
"
        )
    };
    let jobs = job("build:") + &job("end-to-end:\n    needs: build");
    let runner = Runner::new(&sandbox, &jobs).service(&service, 2);
    let told = |run: &Run| {
        ["build", "end-to-end"].map(|job| {
            assert_eq!(run.told(job, "THERE"), "true");
            run.told(job, "ARTIFACT").to_owned()
        })
    };

    let first = runner.push("main").success();
    assert_eq!(told(&first), ["false", "true"], "{}", first.log);
    let second = runner.push("main").success();
    assert_eq!(told(&second), ["true", "true"], "{}", second.log);

    let source = runner.repository.join("app/src/main.rs");
    let text = fs_err::read_to_string(&source).unwrap();
    fs_err::write(&source, format!("{text}// edited\n")).unwrap();
    git(
        &sandbox,
        &runner.repository,
        &["commit", "--quiet", "--all", "--message", "an edit"],
    );
    let edited = runner.push("main").success();
    assert_eq!(told(&edited), ["false", "true"], "{}", edited.log);
}
