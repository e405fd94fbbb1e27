//! sccache in workflows, run by `act` with the real one: what it brings a job, and that no job is the worse for it.

use fs_err as fs;

use crate::support::{
    CacheService, HOTCRATE, Report, Runner, Sandbox, git, read_report, real_sccache,
};

/// Every test has machines of its own: an empty CARGO_HOME each time, and act gives each job a directory of its own.
fn steps(sandbox: &Sandbox, job: &str, sccache: &str) -> String {
    let report = report_path(sandbox, job);
    format!(
        "    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: {HOTCRATE}
        with:
          report: {report}
          tiers: registry,sccache
          sccache: {sccache}
      - run: echo WRAPPED=${{RUSTC_WRAPPER:+yes}}
      - run: cargo build --locked -v
"
    )
}

fn report_path(sandbox: &Sandbox, job: &str) -> String {
    let path = sandbox.path(format!("report-{job}.json"));
    path.to_str().unwrap().to_owned()
}

fn report(sandbox: &Sandbox, job: &str) -> Report {
    read_report(report_path(sandbox, job).as_ref())
}

#[test]
fn a_second_job_and_a_lockfile_bump_get_from_sccache_what_is_unchanged() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let sccache = real_sccache();
    let sccache = sccache.to_str().unwrap();
    let jobs = format!(
        "  first:\n{}  second:\n    needs: first\n{}",
        steps(&sandbox, "first", sccache),
        steps(&sandbox, "second", sccache)
    );
    let runner = Runner::new(&sandbox, &jobs)
        .service(&service, 2)
        .keeping_pages();
    let run = runner.push("main").success();
    assert_eq!(run.told("first", "WRAPPED"), "yes");
    let first = report(&sandbox, "first");
    assert_eq!(first.restore("sccache").outcome, "miss");
    assert_eq!(first.sccache().hits, 0, "{first:?}");
    let saved = first.save("sccache");
    assert_eq!(saved.outcome, "saved", "{saved:?}");

    // By prefix: less the generation, less the lockfile, less the job.
    let second = report(&sandbox, "second");
    let restore = second.restore("sccache");
    assert_eq!(restore.outcome, "partial", "{restore:?}");
    assert_eq!(restore.matched_key, saved.key);
    assert!(restore.reason().contains("job"), "{restore:?}");
    let stats = second.sccache();
    assert!(stats.hits >= 3, "{stats:?}");
    let told = format!(
        "sccache 0.16.0: **{} of {} compilations came from sccache**; ",
        stats.hits,
        stats.hits + stats.misses
    );
    let page = runner.page("second");
    assert!(page.contains(&told), "{told}\n{page}");
    assert!(page.contains("| sccache | **partial**: job: "), "{page}");

    let repository = &runner.repository;
    sandbox.cargo(
        repository,
        &["update", "--quiet", "memchr", "--precise", "2.7.4"],
    );
    git(
        &sandbox,
        repository,
        &["commit", "--quiet", "--all", "--message", "memchr"],
    );
    sandbox.empty_cargo_home();
    let bumped = runner.push("main").success();
    let report = report(&sandbox, "first");
    let restore = report.restore("sccache");
    assert_eq!(restore.outcome, "partial", "{restore:?}");
    assert!(restore.reason().starts_with("lock: memchr "), "{restore:?}");
    assert_eq!(
        bumped.build("first").compiled_dependencies().len(),
        4,
        "{}",
        bumped.log
    );
    // itoa and cfg-if; memchr is another one, and the library that uses it lies elsewhere. Of its kind, none is cached:
    // the macro, its build script, and the program.
    let stats = report.sccache();
    assert_eq!((stats.hits, stats.misses), (2, 2), "{stats:?}");
    assert!(stats.not_cacheable >= 2, "{stats:?}");
    assert_eq!(bumped.annotations("warning"), [""; 0], "{}", bumped.log);
}

/// What finds the server of a job by its environment, which is all that the system tells of a process.
const KILL_SERVER: &str = r#"#!/bin/sh
for process in /proc/[0-9]*; do
  if tr '\0' '\n' < "$process/environ" 2>/dev/null | grep -qxF SCCACHE_START_SERVER=1 &&
    tr '\0' '\n' < "$process/environ" | grep -qxF "SCCACHE_SERVER_PORT=$SCCACHE_SERVER_PORT"; then
    kill -9 "${process#/proc/}" && echo x >> "$0.killed"
  fi
done
"#;

/// What makes a program one for another machine, in the head of an ELF file: 243 is RISC-V.
fn of_another_architecture() -> Vec<u8> {
    let mut head = vec![0; 64];
    head[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    head[16..20].copy_from_slice(&[2, 0, 243, 0]);
    head
}

/// What the objects of the dependencies exceed, and none of them alone.
const BOUND: u64 = 1_160_000;

#[test]
fn a_broken_sccache_a_dead_server_and_a_full_directory_cost_no_job() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let foreign = sandbox.program("foreign", of_another_architecture());
    let broken = sandbox.program("broken", "#!/bin/sh\nexit 1\n");
    let kill = sandbox.program("kill-server", KILL_SERVER);
    let real = real_sccache();
    let job = |name: &str, sccache: &std::path::Path, variables: &str| {
        let steps = steps(&sandbox, name, sccache.to_str().unwrap());
        format!("  {name}:\n    env: {{ {variables} }}\n{steps}")
    };
    let jobs = [
        job("foreign", &foreign, ""),
        job("broken", &broken, ""),
        job("dying", &real, &format!("KILL: {}", kill.display())),
        job("bounded", &real, &format!("SCCACHE_CACHE_SIZE: {BOUND}")),
    ];
    let runner = Runner::new(&sandbox, &jobs.concat()).service(&service, 2);
    // The script of `greeting` runs while others are being compiled.
    let script = r#"fn main() {
    println!("cargo::rerun-if-env-changed=KILL");
    if let Ok(program) = std::env::var("KILL") {
        assert!(std::process::Command::new(program).status().unwrap().success());
    }
}"#;
    fs::write(runner.repository.join("greeting/build.rs"), script).unwrap();
    let run = runner.push("main").success();
    for name in ["foreign", "broken", "dying", "bounded"] {
        assert!(run.build(name).has_compiled("app"), "{name}: {}", run.log);
    }
    assert_eq!(run.annotations("warning"), [""; 0], "{}", run.log);

    let notices = run.annotations("notice");
    assert_eq!(notices.len(), 2, "{notices:?}");
    for (name, expected) in [
        ("foreign", "Exec format error"),
        ("broken", "failed (exit status: 1)"),
    ] {
        assert_eq!(run.told(name, "WRAPPED"), "");
        let is_told = notices.iter().any(|notice| notice.contains(expected));
        assert!(is_told, "{expected}: {notices:?}");
        assert!(report(&sandbox, name).sccache.is_none());
        assert_eq!(report(&sandbox, name).save("sccache").outcome, "skipped");
    }

    assert!(sandbox.path("kill-server.killed").exists(), "{}", run.log);
    let dying = report(&sandbox, "dying");
    assert!(dying.sccache().fell_back >= 2, "{dying:?}");
    let note = dying.sccache().note.as_deref();
    assert!(note.is_some_and(|note| note.contains("gone")), "{dying:?}");

    let bounded = report(&sandbox, "bounded");
    assert!(bounded.sccache().written >= 1, "{bounded:?}");
    let save = bounded.save("sccache");
    assert_eq!(save.outcome, "saved", "{save:?}");
    // Header, index and the members' own headers come on top.
    assert!(save.bytes.unwrap() < BOUND + (32 << 10), "{save:?}");
}
