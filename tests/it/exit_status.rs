//! `hotcrate run` is the command that it runs, as far as anybody outside can tell.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Stdio},
};

use fs_err as fs;
use rstest::rstest;
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

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

#[test]
fn a_signal_reaches_the_command_also_if_input_is_a_terminal() {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let input = fs::File::open(Path::new(name.to_str().unwrap())).unwrap();
    let ended = signalled_with_input(
        input.into_parts().0.into(),
        Signal::INT,
        "echo ready; exec sleep 20",
    );
    assert_eq!(ended.code(), Some(130), "{}", ended.stderr);
}

#[cfg(target_os = "linux")]
#[rstest]
#[case::hang_up("HUP")]
#[case::interrupt("INT")]
fn a_signal_that_is_ignored_stays_ignored(#[case] name: &str) {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    // First the command gets the signal itself, then hotcrate: with neither ignored, either would end the command.
    let script = format!(
        "trap '' {name}; exec \"$0\" run -- sh -c 'kill -{name} $$; kill -{name} $PPID; exit 9'"
    );
    let output = sandbox
        .command("sh", &clone)
        .args(["-c", &script, env!("CARGO_BIN_EXE_hotcrate")])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_runs_although_signals_cannot_be_passed_on() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    // One file at a time can be open: enough to load a program, too few for the pipe that tells of signals.
    let script = "ulimit -n 4; exec \"$0\" run -- sh -c 'exit 9'";
    let output = sandbox
        .command("sh", &clone)
        .args(["-c", script, env!("CARGO_BIN_EXE_hotcrate")])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{stderr}");
}

/// Runs a script that says `ready` and waits, then sends hotcrate, and nobody else, a signal.
fn signalled(signal: Signal, script: &str) -> Finished {
    signalled_with_input(Stdio::null(), signal, script)
}

fn signalled_with_input(input: Stdio, signal: Signal, script: &str) -> Finished {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let hotcrate = sandbox.hotcrate(&clone);
    let report = hotcrate.report();
    let mut child = hotcrate
        .command("run", &report)
        .args(["--", "sh", "-c", script])
        .stdin(input)
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
