//! `hotcrate run` is the command that it runs, as far as anybody outside can tell.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Child, Stdio},
};

use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Finished, Sandbox, checkout, fixture};

#[rstest]
#[case::success("exit 0", 0)]
#[case::failure("exit 1", 1)]
#[case::a_code_of_its_own("exit 42", 42)]
#[case::the_largest("exit 255", 255)]
#[case::killed("kill -9 $$", 137)]
#[case::aborted("kill -ABRT $$", 134)]
fn the_exit_status_is_that_of_the_command(#[case] script: &str, #[case] code: i32) {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = sandbox.hotcrate(&clone).run(&["sh", "-c", script]);
    assert_eq!(run.code(), Some(code), "{}", run.stderr);
}

#[rstest]
#[case::absent("no-such-command-anywhere", 127)]
#[case::not_executable("./Cargo.toml", 126)]
fn a_command_that_cannot_be_started_is_named(#[case] command: &str, #[case] code: i32) {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = sandbox.hotcrate(&clone).run(&[command]);
    assert_eq!(run.code(), Some(code), "{}", run.stderr);
    assert!(run.stderr.contains(command), "{}", run.stderr);
}

#[test]
fn output_input_and_arguments_go_through_untouched() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let script = r#"printf '%s|' "$@"; echo " in $PWD"; echo to-stderr >&2; cat"#;
    let run = sandbox
        .hotcrate(&clone)
        .run(&["sh", "-c", script, "sh", "--project", "a b", "$x", "--"])
        .success();
    assert_eq!(
        run.stdout,
        format!("--project|a b|$x|--| in {}\n", clone.display())
    );
    assert!(run.stderr.lines().any(|line| line == "to-stderr"));
}

#[rstest]
#[case::terminate(Signal::TERM, 143)]
#[case::interrupt(Signal::INT, 130)]
#[case::hang_up(Signal::HUP, 129)]
fn a_signal_ends_the_command_and_shows_in_the_status(#[case] signal: Signal, #[case] code: i32) {
    let ended = signalled(signal, "echo ready; exec sleep 60");
    assert_eq!(ended.code(), Some(code), "{}", ended.stderr);
}

#[rstest]
#[case::terminate(Signal::TERM, "TERM")]
#[case::interrupt(Signal::INT, "INT")]
fn a_command_that_handles_a_signal_decides_the_status(#[case] signal: Signal, #[case] name: &str) {
    // `wait` returns at once when a trapped signal arrives; a plain `sleep` would hold the trap back.
    let script = format!("trap 'kill $!; exit 7' {name}; sleep 60 & echo ready; wait $!");
    let ended = signalled(signal, &script);
    assert_eq!(ended.code(), Some(7), "{}", ended.stderr);
}

/// Runs a script that says `ready` and waits, then sends hotcrate, and nobody else, a signal.
fn signalled(signal: Signal, script: &str) -> Finished {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let hotcrate = sandbox.hotcrate(&clone);
    let report = hotcrate.report();
    let mut child = hotcrate
        .command("run", &report)
        .args(["--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    read_ready(&mut child);
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), None, "hotcrate itself was killed");
    Finished::new(&output, &report)
}

/// Waits until the script has written its line.
fn read_ready(child: &mut Child) {
    use std::io::{BufRead as _, BufReader};
    let stdout = child.stdout.as_mut().unwrap();
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
}
