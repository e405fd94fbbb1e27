//! What `hotcrate doctor` tells.

use serde::{Deserialize, Serialize};

use super::{UnitsReport, render_causes};
use crate::rebuild::Diagnosis;

/// What the units of a build are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compared {
    /// With what was there when the last `hotcrate run` or `hotcrate restore` had restored.
    LastRestore,
    /// With the older units of the same directories: nobody took down what was there.
    Times,
}

/// What a build compiled, why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// What the units are compared with.
    pub compared_with: Compared,
    /// How long ago that was, or the build began, in seconds.
    pub age_seconds: u64,
    /// What was compiled, and why.
    pub units: UnitsReport,
    /// What makes units dirty without need.
    pub diagnoses: Vec<Diagnosis>,
}

/// The report as lines of text.
pub fn render_doctor(report: &DoctorReport) -> Vec<String> {
    let count = report.units.rebuilt.unwrap_or_default();
    let plural = if count == 1 { "" } else { "s" };
    let since = match report.compared_with {
        Compared::LastRestore => "since the last restore",
        Compared::Times => "by the newest build; what was there before it was not taken down",
    };
    let mut lines = vec![format!("{count} unit{plural} compiled {since}")];
    let causes = render_causes(&report.units);
    lines.extend(causes.iter().map(|line| format!("  {}", line.trim_start())));
    lines.push(String::new());
    if report.diagnoses.is_empty() {
        lines.push("Nothing was found that makes units dirty without need.".to_owned());
    }
    for diagnosis in &report.diagnoses {
        lines.push(format!("{}: {}", diagnosis.rule, diagnosis.finding));
        lines.push(format!("  {}", diagnosis.advice));
    }
    lines
}
