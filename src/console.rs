//! What is said while hotcrate works: plain lines in a log, progress bars in a terminal, annotations on a runner.
//!
//! Everything goes to standard error, so that a command's own output stays what it is. A line that cannot be
//! written (a closed pipe) is lost, and nothing else happens.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    report::render_bytes,
    runner::workflow_command::{self, Annotation},
    settings::Verbosity,
    stream::Progress,
};

/// How often a long transfer says in a log how far it is.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// How what matters is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marks {
    /// By a word in front.
    Words,
    /// By the commands that a runner of GitHub makes annotations and collapsed groups of.
    Runner,
}

/// The user's end of hotcrate.
#[derive(Debug)]
pub struct Console {
    verbosity: Verbosity,
    marks: Marks,
    draws_bars: bool,
    warnings: Mutex<Vec<String>>,
    notices: Mutex<Vec<String>>,
}

impl Console {
    /// A console that says as much as `verbosity` has it.
    pub fn new(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            marks: Marks::Words,
            draws_bars: verbosity != Verbosity::Quiet && io::stderr().is_terminal(),
            warnings: Mutex::default(),
            notices: Mutex::default(),
        }
    }

    /// A console whose reader is a runner: warnings and errors become annotations.
    pub fn for_runner(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            marks: Marks::Runner,
            draws_bars: false,
            warnings: Mutex::default(),
            notices: Mutex::default(),
        }
    }

    /// Begins a part of the log that a runner shows collapsed; dropping what comes back ends it. Groups don't nest.
    pub fn group(&self, title: &str) -> LogGroup {
        let speaks = self.marks == Marks::Runner && self.verbosity != Verbosity::Quiet;
        if speaks {
            write_raw(&workflow_command::group_line(title));
        }
        LogGroup { speaks }
    }

    /// Says what happens.
    pub fn line(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            write_line(text);
        }
    }

    /// Says what only those want to know who asked for more.
    pub fn detail(&self, text: &str) {
        if self.verbosity == Verbosity::Verbose {
            write_line(text);
        }
    }

    /// Says what the user may want to change, though nothing went wrong.
    pub fn note(&self, text: &str) {
        self.line(&format!("note: {text}"));
    }

    /// Says what the user should hear of though nothing went wrong, even where a log is read by nobody: once.
    pub fn notice(&self, text: &str) {
        let mut notices = lock(&self.notices);
        if !notices.iter().any(|known| known == text) {
            self.mark(Annotation::Notice, "notice", text);
            notices.push(text.to_owned());
        }
    }

    /// All notices so far.
    pub fn notices(&self) -> Vec<String> {
        lock(&self.notices).clone()
    }

    /// These notices were given in another process: they are not repeated.
    pub fn has_given(&self, notices: &[String]) {
        lock(&self.notices).extend_from_slice(notices);
    }

    /// Warns of trouble with the cache, and keeps the warning for the report.
    pub fn trouble(&self, text: &str) {
        self.mark(Annotation::Warning, "warning", text);
        lock(&self.warnings).push(text.to_owned());
    }

    /// Says why hotcrate cannot do what it was asked for.
    pub fn error(&self, text: &str) {
        self.mark(Annotation::Error, "error", text);
    }

    fn mark(&self, annotation: Annotation, word: &str, text: &str) {
        match self.marks {
            Marks::Words => write_line(&format!("{word}: {text}")),
            Marks::Runner => write_raw(&annotation.line(text)),
        }
    }

    /// Whether there was trouble with the cache.
    pub fn had_trouble(&self) -> bool {
        !lock(&self.warnings).is_empty()
    }

    /// Everything warned of so far.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// Announces a transfer of `total` bytes of files. Dropping what comes back ends its progress bar.
    pub fn transfer(&self, title: &str, total: u64) -> Transfer {
        let bar = if self.draws_bars {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(
                "hotcrate: {msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
            ) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(title.to_owned());
            bar
        } else {
            ProgressBar::hidden()
        };
        Transfer {
            title: title.to_owned(),
            total,
            bar,
            speaks: self.verbosity != Verbosity::Quiet && !self.draws_bars,
            moved: Mutex::new(Moved {
                bytes: 0,
                last_said: Instant::now(),
            }),
        }
    }
}

fn lock(messages: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    messages.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transfer in progress.
#[derive(Debug)]
pub struct Transfer {
    title: String,
    total: u64,
    bar: ProgressBar,
    speaks: bool,
    moved: Mutex<Moved>,
}

#[derive(Debug)]
struct Moved {
    bytes: u64,
    last_said: Instant,
}

impl Progress for Transfer {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.bytes += bytes;
        if self.speaks && moved.last_said.elapsed() >= LOG_INTERVAL {
            moved.last_said = Instant::now();
            let (done, total) = (render_bytes(moved.bytes), render_bytes(self.total));
            write_line(&format!("{}: {done} of {total}", self.title));
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Has the runner hide `secret` wherever it shows up in the log.
pub fn mask(secret: &str) {
    write_raw(&workflow_command::mask_line(secret));
}

/// A collapsed part of a runner's log, until it is dropped.
#[derive(Debug)]
#[must_use = "the group ends when this is dropped"]
pub struct LogGroup {
    speaks: bool,
}

impl Drop for LogGroup {
    fn drop(&mut self) {
        if self.speaks {
            write_raw(&workflow_command::end_group_line());
        }
    }
}

/// Every line of `text` is marked as ours, so that none can begin like a command to a runner.
fn write_line(text: &str) {
    let lines: Vec<_> = text
        .lines()
        .map(|line| format!("hotcrate: {line}"))
        .collect();
    write_raw(&lines.join("\n"));
}

fn write_raw(lines: &str) {
    // One write: lines of several threads must not mix.
    let text = format!("{lines}\n");
    let _closed_pipe = io::stderr().lock().write_all(text.as_bytes());
}
