//! The `workspaces` setting: one workspace a line, `dir` or `dir -> target`.

use std::path::PathBuf;

/// One line: where a workspace lies, and optionally its target directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceLine {
    /// A directory of the workspace, relative to the project's directory or absolute.
    pub directory: PathBuf,
    /// Its target directory, relative to `directory` or absolute, if the user says so. Then nobody else is asked.
    pub target: Option<PathBuf>,
}

/// A line that is neither `dir` nor `dir -> target`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}, {line:?}, {reason}")]
pub struct WorkspaceLineError {
    /// The line's number, from 1.
    pub number: usize,
    /// The line as it was given.
    pub line: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl WorkspaceLine {
    /// The project's own directory, with the target directory that Cargo names.
    pub fn project() -> Self {
        Self {
            directory: PathBuf::from("."),
            target: None,
        }
    }

    /// Parses the whole setting. Empty lines don't count; a setting without lines means [`WorkspaceLine::project`].
    pub fn parse_all(text: &str) -> Result<Vec<Self>, WorkspaceLineError> {
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let parsed = parse(line).map_err(|reason| WorkspaceLineError {
                number: index + 1,
                line: line.to_owned(),
                reason,
            })?;
            lines.push(parsed);
        }
        if lines.is_empty() {
            lines.push(Self::project());
        }
        Ok(lines)
    }
}

fn parse(line: &str) -> Result<WorkspaceLine, &'static str> {
    let mut parts = line.split("->").map(str::trim);
    let directory = parts.next().unwrap_or_default();
    let target = parts.next();
    if parts.next().is_some() {
        return Err("has more than one `->`");
    }
    if directory.is_empty() {
        return Err("names no directory before `->`");
    }
    if target == Some("") {
        return Err("names no target directory after `->`");
    }
    Ok(WorkspaceLine {
        directory: PathBuf::from(directory),
        target: target.map(PathBuf::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(directory: &str, target: Option<&str>) -> WorkspaceLine {
        WorkspaceLine {
            directory: directory.into(),
            target: target.map(PathBuf::from),
        }
    }

    #[rstest::rstest]
    #[case("", &[(".", None)])]
    #[case("\n  \n", &[(".", None)])]
    #[case(".", &[(".", None)])]
    #[case("a\n b -> out \r\n\n", &[("a", None), ("b", Some("out"))])]
    #[case("with space -> ../my target", &[("with space", Some("../my target"))])]
    fn lines_are_directories_with_or_without_a_target(
        #[case] text: &str,
        #[case] expected: &[(&str, Option<&str>)],
    ) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(directory, target)| line(directory, *target))
            .collect();
        assert_eq!(WorkspaceLine::parse_all(text), Ok(expected));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = |text| {
            WorkspaceLine::parse_all(text)
                .expect_err("it is wrong")
                .to_string()
        };
        insta::assert_snapshot!(error("a\n\nb -> c -> d"), @r#"line 3, "b -> c -> d", has more than one `->`"#);
        insta::assert_snapshot!(error("-> target"), @r#"line 1, "-> target", names no directory before `->`"#);
        insta::assert_snapshot!(error("a ->"), @r#"line 1, "a ->", names no target directory after `->`"#);
    }
}
