//! The action on a published project, in workflows whose cache is broken in one way after the other: every job ends as it would without
//! the action, says what happened, and leaves nothing half done; the next one is warm again.

use std::path::PathBuf;

use fs_err as fs;

use crate::support::{
    CacheService, Fault, HEXYL, HOTCRATE, Op, Run, Runner, Sandbox, SmallDisk, fill, staging_under,
};

/// What the project takes in the target directory, dependencies included, and some room.
const DISK_BYTES: u64 = 400 << 20;

/// A repository of the project, and a service that has the entries of its main branch.
struct Tour<'a> {
    sandbox: &'a Sandbox,
    runner: Runner<'a>,
    /// Where the project is built: act's own checkout is another place each time.
    work: PathBuf,
}

impl<'a> Tour<'a> {
    fn begin(sandbox: &'a Sandbox, service: &'a CacheService) -> Self {
        let work = sandbox.path("work");
        let jobs = format!(
            "  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          find {work} -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {{}} +
          cp -r . {work}
      - id: hotcrate
        uses: {HOTCRATE}
        with:
          project: {work}
          sccache: false
      - run: |
          rm -f {work}/target/filler
          echo DEPS=${{{{ steps.hotcrate.outputs.deps-outcome }}}}
          cargo check --locked -v
        working-directory: {work}
",
            work = work.display()
        );
        // The first time the binary is told to, it is killed as soon as it has begun to restore.
        let killed = format!(
            "[ \"$2\" = main ] && [ -e '{flag}' ] || exec \"$real\" \"$@\"
rm '{flag}'
\"$real\" \"$@\" &
while kill -0 $! && [ -z \"$(find '{work}' -maxdepth 2 -name '.hotcrate-*')\" ]; do sleep 0.05; done
kill -9 $!
kill -9 $$
",
            flag = sandbox.path("kill").display(),
            work = work.display()
        );
        Self {
            sandbox,
            runner: Runner::of(&HEXYL.source(), sandbox, &jobs)
                .service(service, 2)
                .through(&killed),
            work,
        }
    }

    /// A job on a machine that has nothing yet but what a killed one left.
    fn job(&self) -> Run {
        self.empty();
        self.runner.push("main").success()
    }

    fn empty(&self) {
        self.sandbox.empty_cargo_home();
        for entry in fs::read_dir(self.work.join("target")).unwrap() {
            let path = entry.unwrap().path();
            if staging_under(&path).contains(&path) {
                continue;
            }
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    }

    #[track_caller]
    fn assert_dependencies_are_warm(run: &Run) {
        assert_eq!(run.told("check", "DEPS"), "exact", "{}", run.log);
        assert!(
            run.build("check").compiled_dependencies().is_empty(),
            "{}",
            run.log
        );
    }

    #[track_caller]
    fn assert_warm(&self) {
        let run = self.job();
        Self::assert_dependencies_are_warm(&run);
        assert_eq!(run.annotations("warning"), [""; 0], "{}", run.log);
        self.assert_tidy();
    }

    /// The job behind a cache that broke compiled everything, and said what happened: once for each of so many causes.
    #[track_caller]
    fn assert_cold(run: &Run, warning: &str, causes: usize) {
        assert!(
            run.build("check").fresh_dependencies().is_empty(),
            "{}",
            run.log
        );
        let warnings = run.annotations("warning");
        assert_eq!(warnings.len(), causes, "{}", run.log);
        assert!(
            warnings.iter().all(|told| told.contains(warning)),
            "{warnings:?}"
        );
    }

    /// Nothing of hotcrate's own lies about.
    #[track_caller]
    fn assert_tidy(&self) {
        for directory in [self.work.as_path(), &self.sandbox.cargo_home()] {
            let left = staging_under(directory);
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[test]
fn a_published_project_survives_whatever_happens_to_its_cache() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let tour = Tour::begin(&sandbox, &service);
    let target = tour.work.join("target");
    let Some(disk) = SmallDisk::mount(target.clone(), DISK_BYTES) else {
        return;
    };
    let cold = tour.job();
    assert_eq!(cold.told("check", "DEPS"), "miss", "{}", cold.log);
    tour.assert_warm();

    // The connection is cut in the middle of every download.
    service.fail(Op::Download, 0, 1000, Fault::CutBody);
    Tour::assert_cold(&tour.job(), "broke off the connection", 1);
    tour.assert_tidy();
    service.mend();
    tour.assert_warm();

    // The disk is full while it is restored.
    tour.empty();
    fill(&target, DISK_BYTES - (4 << 20));
    let full = tour.runner.push("main").success();
    Tour::assert_cold(&full, "are free", 1);
    tour.assert_tidy();
    tour.assert_warm();

    // The service stands still, and the step is killed. What it leaves goes with the next one.
    fs::write(sandbox.path("kill"), "").unwrap();
    service.fail(Op::Download, 3, 1000, Fault::StallBody);
    Tour::assert_cold(&tour.job(), "SIGKILL", 1);
    assert_eq!(staging_under(&target).len(), 1);
    service.mend();
    tour.assert_warm();

    // The service keeps damaged entries as they are. Those of the registry and the dependencies are stored anew under other
    // keys; that of the workspace is asked for by a key that is whole, which the next commit changes.
    service.damage_bytes();
    Tour::assert_cold(&tour.job(), "the archive is damaged", 2);
    let next = tour.job();
    Tour::assert_dependencies_are_warm(&next);
    let warnings = next.annotations("warning");
    assert_eq!(warnings.len(), 1, "{}", next.log);
    assert!(warnings[0].starts_with("workspace not restored"));
    tour.assert_tidy();
    drop(disk);
}
