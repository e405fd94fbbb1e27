//! The job's summary: a table of the tiers.

use crate::report::{RunReport, render_lines};

/// The report as Markdown.
pub(super) fn render(report: &RunReport) -> String {
    let mut lines = vec![
        "### hotcrate".to_owned(),
        String::new(),
        "```text".to_owned(),
    ];
    lines.extend(render_lines(report));
    lines.push("```".to_owned());
    lines.join("\n")
}
