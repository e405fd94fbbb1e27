//! Workflow commands: lines in a step's log that a runner heeds.
//!
//! Invariant: what is put into one is escaped, so that text of others neither ends it nor begins another.

use actions_rs::WorkflowCommand;

/// How an annotation is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Annotation {
    /// Something to know.
    Notice,
    /// Trouble that the job survives.
    Warning,
    /// What keeps hotcrate from doing what it was asked for.
    Error,
}

impl Annotation {
    /// The command for `text`, as a line without its end.
    pub fn line(self, text: &str) -> String {
        let name = match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        };
        command(name)
            .property("title", "hotcrate")
            .message(text)
            .to_string()
    }
}

/// The command that begins a collapsed part of the log, as a line without its end.
pub fn group_line(title: &str) -> String {
    command("group").message(title).to_string()
}

/// The command that ends it.
pub fn end_group_line() -> String {
    command("endgroup").to_string()
}

/// The command that makes the runner blot out `secret` in all logs from here on.
pub fn mask_line(secret: &str) -> String {
    command("add-mask").message(secret).to_string()
}

fn command(name: &'static str) -> WorkflowCommand {
    WorkflowCommand::new(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_end_a_command_and_begin_one() {
        insta::assert_snapshot!(
            Annotation::Warning.line("100 % lost\n::set-env name=PATH::/tmp"),
            @"::warning title=hotcrate::100 %25 lost%0A::set-env name=PATH::/tmp"
        );
        insta::assert_snapshot!(group_line("hotcrate: restore"), @"::group::hotcrate: restore");
        insta::assert_snapshot!(end_group_line(), @"::endgroup::");
        insta::assert_snapshot!(mask_line("s3cret"), @"::add-mask::s3cret");
    }
}
