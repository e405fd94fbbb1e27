//! Whatever is wrong with the machine or the cache service, the action's step ends well: status 0, one annotation that says
//! what happened, all outputs set, and the job's environment as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Output,
};

use fs_err as fs;
use hotcrate::{process::user_command, tier::TierName};
use rstest::rstest;

use crate::support::{CacheService, Fault, Op, Sandbox, Step, Stepped, checkout, fixture, token};

const MAIN: &str = "refs/heads/main";

/// A step that is handed `service` down, in version 2.
fn with_service<'a>(sandbox: &'a Sandbox, service: &CacheService) -> Step<'a> {
    let variables = service.variables(2, &token(&[(MAIN, 3)]));
    variables.iter().fold(
        Step::new(sandbox).input("store", "auto"),
        |step, variable| step.env(variable.0, &variable.1),
    )
}

/// One annotation in the whole job, and nothing else but outputs: as a job without hotcrate.
#[track_caller]
fn assert_as_if_it_were_not_there(clone: &Path, step: &Step<'_>) -> String {
    let main = step.main(clone);
    assert!(main.status.success(), "{main:#?}");
    assert_eq!(main.variables, BTreeMap::new());
    assert_eq!(main.output("supported"), "true");
    assert_eq!(main.output("cache-hit"), "false");
    for tier in TierName::ALL {
        let outcome = main.output(&format!("{tier}-outcome"));
        assert!(
            ["failed", "skipped"].contains(&outcome),
            "{tier}: {outcome}"
        );
        assert_ne!(main.output(&format!("{tier}-reason")), "", "{tier}");
    }
    let post = step.post(clone, &main);
    assert!(post.status.success(), "{post:#?}");
    let said: Vec<_> = [&main, &post].into_iter().flat_map(annotations).collect();
    assert_eq!(said.len(), 1, "{main:#?}\n{post:#?}");
    said[0].to_owned()
}

fn annotations(half: &Stepped) -> impl Iterator<Item = &str> {
    ["error", "warning", "notice"]
        .into_iter()
        .flat_map(|kind| half.annotations(kind))
}

#[test]
fn a_service_that_is_dead() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    service.die();
    let said = assert_as_if_it_were_not_there(&clone, &with_service(&sandbox, &service));
    assert!(
        said.starts_with("registry not restored: 127.0.0.1 can't be reached: "),
        "{said}"
    );
}

#[test]
fn a_service_that_never_answers() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    service.fail(Op::LookUp, 0, 100, Fault::Silence);
    let step = with_service(&sandbox, &service).input("call-timeout", "200ms");
    let said = assert_as_if_it_were_not_there(&clone, &step);
    insta::assert_snapshot!(said, @"registry not restored: 127.0.0.1 did not answer within 200ms");
    assert_eq!(service.count(Op::LookUp), 1, "it is not waited for again");
}

#[test]
fn a_deadline_that_passes() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = Step::new(&sandbox).input("restore-timeout", "1ns");
    let said = assert_as_if_it_were_not_there(&clone, &step);
    insta::assert_snapshot!(said, @"registry not restored: it took longer than restore-timeout allows: 1ns");
}

/// A download that stops is tried once more, and then given up.
#[test]
fn a_transfer_that_stands_still() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = with_service(&sandbox, &service)
        .input("tiers", "registry")
        .input("stall-timeout", "200ms");
    let main = step.main(&clone);
    sandbox.cargo(&clone, &["fetch", "--locked"]);
    let post = step.post(&clone, &main);
    assert!(post.log.contains("; saved"), "{post:#?}");
    sandbox.empty_cargo_home();
    service.fail(Op::Download, 0, 100, Fault::StallBody);
    let main = step.main(&clone);
    assert!(main.status.success(), "{main:#?}");
    insta::assert_snapshot!(main.annotations("warning").join("\n"), @"registry not restored: 127.0.0.1 stopped in the middle of a transfer: nothing came for 200ms");
    assert_eq!(main.variables, BTreeMap::new());
    assert_eq!(service.count(Op::Download), 2);
}

/// In the log of a step that says everything, a secret stands only where the runner is told to hide it.
#[test]
fn neither_the_token_nor_a_signature_is_ever_shown() {
    let (sandbox, service) = (Sandbox::new(), CacheService::start());
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = with_service(&sandbox, &service)
        .input("tiers", "registry")
        .env("RUNNER_DEBUG", "1");
    let main = step.main(&clone);
    sandbox.cargo(&clone, &["fetch", "--locked"]);
    let post = step.post(&clone, &main);
    sandbox.empty_cargo_home();
    let expired = Fault::json(403, "<Error><Code>AuthenticationFailed</Code></Error>");
    service.fail(Op::Download, 0, 100, expired);
    let again = step.main(&clone);
    assert_eq!(again.annotations("warning").len(), 1, "{again:#?}");

    let signatures: BTreeSet<_> = service
        .seen()
        .iter()
        .filter_map(|seen| Some(seen.target.split_once("sig=")?.1.to_owned()))
        .map(|rest| rest.split('&').next().unwrap_or_default().to_owned())
        .collect();
    assert!(signatures.len() > 1, "{signatures:?}");
    let token = token(&[(MAIN, 3)]);
    for half in [&main, &post, &again] {
        assert!(!half.log.contains(&token), "{half:#?}");
        for secret in signatures
            .iter()
            .flat_map(|raw| [raw.clone(), decoded(raw)])
        {
            let mut lines = half.log.lines().filter(|line| line.contains(&secret));
            assert!(
                lines.all(|line| line.starts_with("::add-mask::")),
                "{secret}: {half:#?}"
            );
        }
    }
    let all = [&main, &post, &again]
        .map(|half| half.log.as_str())
        .concat();
    for raw in &signatures {
        // A command has its own escape for `%`.
        for masked in [raw.replace('%', "%25"), decoded(raw)] {
            assert!(all.contains(&format!("::add-mask::{masked}\n")), "{all}");
        }
    }
}

/// A signature of the tests' service without its escapes.
fn decoded(raw: &str) -> String {
    raw.replace("%2F", "/")
        .replace("%2B", "+")
        .replace("%3D", "=")
}

/// Hosted runners always hand one down; a `run:` step and a machine of one's own may not have any.
#[test]
fn a_runner_without_a_token_keeps_entries_on_the_machine_and_says_so_once() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = Step::new(&sandbox)
        .input("store", "auto")
        .env("ACTIONS_CACHE_SERVICE_V2", "True")
        .env("ACTIONS_RESULTS_URL", "http://127.0.0.1:9/");
    let main = step.main(&clone);
    let post = step.post(&clone, &main);
    assert!(main.status.success() && post.status.success());
    let said: Vec<_> = [&main, &post].into_iter().flat_map(annotations).collect();
    insta::assert_snapshot!(said.join("\n"), @"entries are kept on this machine only: ACTIONS_RUNTIME_TOKEN is not set: the runner hands it to actions only, and to no `run:` step");
    assert_eq!(main.output("deps-outcome"), "miss");
}

/// A tool that hangs is no reason to wait: `cargo` here says nothing at all.
#[cfg(unix)]
#[test]
fn a_cargo_that_hangs() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let tools = sandbox.path("tools");
    script(&tools.join("cargo"), "exec sleep 1000");
    let process = hotcrate::environment::Environment::of_process();
    let path = process.text("PATH").unwrap();
    let step = Step::new(&sandbox)
        .env("PATH", &format!("{}:{path}", tools.display()))
        .input("tool-timeout", "200ms");
    let said = assert_as_if_it_were_not_there(&clone, &step);
    let said = said.replace(clone.to_str().unwrap(), "CLONE");
    insta::assert_snapshot!(said, @"going on without the cache: failed to ask cargo about CLONE: cargo did not answer within 200ms");
}

#[cfg(unix)]
fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;

    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The launcher beside a binary of its own, as the runner starts it.
#[cfg(unix)]
struct Launcher {
    directory: tempfile::TempDir,
}

#[cfg(unix)]
impl Launcher {
    /// `binary` is what lies where this machine's is looked for.
    fn new(binary: impl Fn(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist");
        for name in ["launcher.cjs", "main.cjs", "post.cjs"] {
            fs::copy(dist.join(name), directory.path().join(name)).unwrap();
        }
        let systems = ["unknown-linux-musl", "apple-darwin"];
        for system in systems {
            let target = format!("{}-{system}", std::env::consts::ARCH);
            let place = directory.path().join("bin").join(target);
            fs::create_dir_all(&place).unwrap();
            binary(&place.join("hotcrate"));
        }
        Self { directory }
    }

    fn start(&self, half: &str, variables: &[(&str, &str)]) -> (Output, String) {
        let output = self.directory.path().join("output");
        fs::write(&output, "").unwrap();
        let mut node = user_command("node".as_ref());
        node.arg(self.directory.path().join(half))
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_STATE", self.directory.path().join("state"))
            .envs(variables.iter().copied());
        (node.output().unwrap(), fs::read_to_string(output).unwrap())
    }
}

/// What a binary of another platform, an image without its loader, a kill and a crash look like from outside.
#[cfg(unix)]
#[rstest]
#[case::of_another_loader("#!/no/such/loader", "notice", "hotcrate does not start here (spawn ")]
#[case::killed("#!/bin/sh\nkill -KILL $$", "warning", "hotcrate ended with SIGKILL")]
#[case::crashed("#!/bin/sh\nexit 101", "warning", "hotcrate ended with status 101")]
fn a_binary_that_does_not_do_its_work(
    #[case] content: &str,
    #[case] kind: &str,
    #[case] said: &str,
) {
    use std::os::unix::fs::PermissionsExt as _;

    let launcher = Launcher::new(|path| {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    });
    let (ended, outputs) = launcher.start("main.cjs", &[]);
    let log = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{log}");
    assert!(
        log.starts_with(&format!("::{kind} title=hotcrate::{said}")),
        "{log}"
    );
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(outputs.contains("supported=false\n"), "{outputs}");
    for tier in TierName::ALL {
        assert!(
            outputs.contains(&format!("{tier}-outcome=skipped\n")),
            "{outputs}"
        );
    }

    let (post, _) = launcher.start("post.cjs", &[("STATE_unsupported", "true")]);
    assert!(post.status.success() && post.stdout.is_empty());
    let (strict, _) = launcher.start("main.cjs", &[("INPUT_STRICT", "true")]);
    assert_ne!(strict.status.code(), Some(0));
}
