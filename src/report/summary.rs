//! A report as a page of Markdown, for the summary of a job.
//!
//! Invariants: whatever stands in keys, reasons and names, none of it becomes markup; and the page never has more bytes
//! than it may. What does not fit is counted: units first, then reasons, keys and warnings, and never the table of
//! the tiers.

use std::collections::BTreeMap;

use super::{
    RestoreOutcome, RestoreReport, RunReport, SaveOutcome, SaveReport, SccacheReport, TierReport,
    holdings,
    markdown::{Page, code, details, plain},
    render_bytes, render_causes, render_seconds, render_span,
    text::{is_unasked, sccache_facts},
};

/// How many units are named for one reason.
const MOST_UNITS: usize = 100;
/// How many reasons for compiling are told apart.
const MOST_REASONS: usize = 30;
/// How many warnings are shown.
const MOST_WARNINGS: usize = 20;

/// How the time spared is found out.
const HOW_IT_IS_MADE: &str = "Time spared is the sum of what each reused unit took when it was compiled, by Cargo's \
own time stamps. Units compile side by side: a build with more than one core is sooner done by less than that.";

/// The page, of at most `limit` bytes. Nothing if not even the table of the tiers fits.
pub fn render_summary(report: &RunReport, limit: usize) -> String {
    let mut page = Page::new(limit);
    if !page.add(&tiers(report)) {
        return String::new();
    }
    page.add(&units(report));
    page.add(&report.sccache.as_ref().map_or_else(String::new, sccache));
    page.add(&warnings(report));
    rebuilt(report, &mut page);
    holdings::write(report, &mut page);
    page.add(&keys(report));
    page.into_text()
}

fn tiers(report: &RunReport) -> String {
    let mut lines = vec![
        "### hotcrate".to_owned(),
        String::new(),
        "| Tier | Restored | Size | Time | Saved | Size | Time |".to_owned(),
        "|---|---|--:|--:|---|--:|--:|".to_owned(),
    ];
    let asked = report.tiers.iter().filter(|tier| !is_unasked(tier));
    lines.extend(asked.map(tier_row));
    lines.push(String::new());
    lines.join("\n") + "\n"
}

fn tier_row(tier: &TierReport) -> String {
    let restore = tier.restore.as_ref().map_or_else(Half::none, restore_half);
    let save = tier.save.as_ref().map_or_else(Half::none, save_half);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |",
        tier.tier, restore.told, restore.bytes, restore.time, save.told, save.bytes, save.time
    )
}

/// The cells of one half of a tier.
struct Half {
    told: String,
    bytes: String,
    time: String,
}

impl Half {
    fn none() -> Self {
        Self {
            told: "–".to_owned(),
            bytes: String::new(),
            time: String::new(),
        }
    }

    fn new(outcome: &str, reason: &str, bytes: Option<u64>, seconds: f64) -> Self {
        let told = match reason {
            "" => format!("**{outcome}**"),
            reason => format!("**{outcome}**: {}", plain(reason)),
        };
        Self {
            told,
            bytes: bytes.map_or_else(String::new, render_bytes),
            time: if seconds > 0.0 {
                render_seconds(seconds)
            } else {
                String::new()
            },
        }
    }
}

fn restore_half(report: &RestoreReport) -> Half {
    let outcome = match report.outcome {
        RestoreOutcome::Exact => "exact",
        RestoreOutcome::Partial => "partial",
        RestoreOutcome::Miss => "miss",
        RestoreOutcome::Skipped => "skipped",
        RestoreOutcome::Failed => "failed",
    };
    Half::new(outcome, &report.reason, report.bytes, report.seconds)
}

fn save_half(report: &SaveReport) -> Half {
    let outcome = match report.outcome {
        SaveOutcome::Saved => "saved",
        SaveOutcome::Skipped => "skipped",
        SaveOutcome::Raced => "raced",
        SaveOutcome::Failed => "failed",
    };
    Half::new(outcome, &report.reason, report.bytes, report.seconds)
}

fn units(report: &RunReport) -> String {
    let units = &report.units;
    let Some(rebuilt) = units.rebuilt else {
        return String::new();
    };
    let mut line = match units.reused {
        Some(reused) => format!("**{reused} units reused, {rebuilt} compiled.**"),
        None => {
            format!("**{rebuilt} units compiled.** Access times don't tell how many were reused.")
        }
    };
    if let Some(seconds) = units.seconds_spared.filter(|seconds| *seconds > 0.0) {
        line.extend([format!(
            " Compile time spared: **{}**.\n\n<sub>{HOW_IT_IS_MADE}</sub>",
            render_span(seconds)
        )]);
    }
    let causes = render_causes(units);
    let mut block = format!("{line}\n\n");
    for cause in &causes {
        block.extend([format!("- {}\n", plain(cause))]);
    }
    if !causes.is_empty() {
        block.push('\n');
    }
    block
}

/// What sccache did: how many compilations it spared, and what became of the others.
fn sccache(report: &SccacheReport) -> String {
    let facts = sccache_facts(report);
    let (first, rest) = facts
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let mut line = format!("sccache {}: **{}**", plain(&report.version), plain(first));
    for fact in rest {
        line.extend(["; ", &plain(fact)]);
    }
    line + ".\n\n"
}

/// The compiled units by reason, the reason with most of them first.
fn rebuilt(report: &RunReport, page: &mut Page) {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for unit in &report.units.rebuilt_units {
        by_reason.entry(&unit.reason).or_default().push(&unit.unit);
    }
    if by_reason.is_empty() {
        return;
    }
    let mut by_reason: Vec<_> = by_reason.into_iter().collect();
    by_reason.sort_by_key(|(reason, units)| (std::cmp::Reverse(units.len()), *reason));
    let mut block = String::new();
    let mut untold = 0;
    for (number, (reason, units)) in by_reason.iter().enumerate() {
        let group = reason_group(reason, units);
        let room = block.len() + group.len() + ROOM_FOR_FRAME <= page.room();
        if number < MOST_REASONS && room {
            block.push_str(&group);
        } else {
            untold += units.len();
        }
    }
    if untold > 0 {
        block.extend([format!("And {untold} more, for other reasons.\n\n")]);
    }
    let count = report.units.rebuilt_units.len();
    page.add(&details(
        &format!("{count} units compiled, and why"),
        &block,
    ));
}

/// What stands around the reasons, at most.
const ROOM_FOR_FRAME: usize = 300;

fn reason_group(reason: &str, units: &[&str]) -> String {
    if let [unit] = units {
        return format!("{}: {}\n\n", plain(unit), plain(reason));
    }
    let mut group = format!("{} units: {}\n\n", units.len(), plain(reason));
    let mut named: Vec<_> = units.to_vec();
    named.sort_unstable();
    for unit in named.iter().take(MOST_UNITS) {
        group.extend([format!("- {}\n", plain(unit))]);
    }
    if named.len() > MOST_UNITS {
        group.extend([format!("- and {} more\n", named.len() - MOST_UNITS)]);
    }
    group + "\n"
}

fn warnings(report: &RunReport) -> String {
    if report.warnings.is_empty() {
        return String::new();
    }
    let mut block = String::from("Warnings:\n\n");
    for warning in report.warnings.iter().take(MOST_WARNINGS) {
        block.extend([format!("- {}\n", plain(warning))]);
    }
    let more = report.warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        block.extend([format!("- and {more} more\n")]);
    }
    block + "\n"
}

fn keys(report: &RunReport) -> String {
    let row = |tier: &TierReport| {
        let restore = tier.restore.as_ref();
        let asked = restore.map_or("", |restore| &restore.key);
        let matched = restore.and_then(|restore| restore.matched_key.as_deref());
        let stored = tier
            .save
            .as_ref()
            .filter(|save| save.outcome == SaveOutcome::Saved);
        let saved = stored.map_or("", |save| &save.key);
        let [asked, matched, saved] = [asked, matched.unwrap_or(""), saved].map(code);
        let is_empty = asked.is_empty() && matched.is_empty() && saved.is_empty();
        (!is_empty).then(|| format!("| {} | {asked} | {matched} | {saved} |\n", tier.tier))
    };
    let rows: String = report.tiers.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = "| Tier | Asked for | Found | Stored under |\n|---|---|---|---|\n";
    details("Keys", &format!("{head}{rows}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{RebuildCause, RebuiltUnit, UnitsReport},
        tier::TierName,
    };

    const ROOM: usize = 1 << 20;

    fn report() -> RunReport {
        let mut report = RunReport {
            units: UnitsReport {
                reused: Some(142),
                rebuilt: Some(3),
                rebuilt_units: [
                    (
                        "memchr-2.8.3 (library, debug)",
                        "the entry that was restored does not have it",
                    ),
                    ("app-0.1.0 (library, debug)", "nothing was restored"),
                    (
                        "bstr-1.12.0 (library, debug)",
                        "the entry that was restored does not have it",
                    ),
                ]
                .map(|(unit, reason)| RebuiltUnit {
                    unit: unit.to_owned(),
                    reason: reason.to_owned(),
                })
                .into(),
                causes: vec![RebuildCause {
                    cause: "memchr_* 2.8.2 → 2.8.3".to_owned(),
                    packages: vec!["memchr".to_owned(), "bstr".to_owned()],
                    is_of_package: false,
                    units: 2,
                    dependents: 1,
                }],
                seconds_spared: Some(252.4),
            },
            warnings: vec!["tools not restored: failed to open the entry".to_owned()],
            ..RunReport::default()
        };
        report.tier_mut(TierName::Registry).restore = Some(RestoreReport {
            key: "hotcrate-v1-registry-9c8b897e-".to_owned(),
            ..RestoreReport::new(
                RestoreOutcome::Miss,
                "nothing is stored for this project yet",
            )
        });
        let deps = report.tier_mut(TierName::Deps);
        deps.restore = Some(RestoreReport {
            outcome: RestoreOutcome::Partial,
            reason: "lock: memchr 2.8.2 → 2.8.3".to_owned(),
            key: "hotcrate-v1-deps-dc267d6a-".to_owned(),
            matched_key: Some("hotcrate-v1-deps-0a1b2c3d-01234567".to_owned()),
            bytes: Some(61_200_000),
            seconds: 0.82,
        });
        deps.save = Some(SaveReport {
            outcome: SaveOutcome::Saved,
            reason: "2 of 144 units are new".to_owned(),
            key: "hotcrate-v1-deps-dc267d6a-89abcdef".to_owned(),
            bytes: Some(62_000_000),
            seconds: 1.24,
        });
        report.tier_mut(TierName::Workspace).restore = Some(RestoreReport::new(
            RestoreOutcome::Skipped,
            "target is already warm",
        ));
        report
    }

    #[test]
    fn a_page_has_a_row_a_tier_the_units_with_their_reasons_and_the_keys() {
        insta::assert_snapshot!(render_summary(&report(), ROOM), @r#"
        ### hotcrate

        | Tier | Restored | Size | Time | Saved | Size | Time |
        |---|---|--:|--:|---|--:|--:|
        | registry | **miss**: nothing is stored for this project yet |  |  | – |  |  |
        | deps | **partial**: lock: memchr 2.8.2 → 2.8.3 | 61.2 MB | 0.8 s | **saved**: 2 of 144 units are new | 62.0 MB | 1.2 s |
        | workspace | **skipped**: target is already warm |  |  | – |  |  |

        **142 units reused, 3 compiled.** Compile time spared: **4 min 12 s**.

        <sub>Time spared is the sum of what each reused unit took when it was compiled, by Cargo's own time stamps. Units compile side by side: a build with more than one core is sooner done by less than that.</sub>

        - memchr\_\* 2.8.2 → 2.8.3; 2 units (memchr, bstr), and 1 that depends on it

        Warnings:

        - tools not restored: failed to open the entry

        <details><summary>3 units compiled, and why</summary>

        2 units: the entry that was restored does not have it

        - bstr-1.12.0 (library, debug)
        - memchr-2.8.3 (library, debug)

        app-0.1.0 (library, debug): nothing was restored

        </details>

        <details><summary>Keys</summary>

        | Tier | Asked for | Found | Stored under |
        |---|---|---|---|
        | registry | <code>hotcrate-v1-registry-9c8b897e-</code> |  |  |
        | deps | <code>hotcrate-v1-deps-dc267d6a-</code> | <code>hotcrate-v1-deps-0a1b2c3d-01234567</code> | <code>hotcrate-v1-deps-dc267d6a-89abcdef</code> |

        </details>
        "#);
    }

    #[test]
    fn nothing_that_is_told_becomes_markup() {
        let hostile = "a|b <img src=x> [x](y) `c` **d** __e__ ~~f~~ $g$ # h\n| i &lt; \\ !";
        let mut report = RunReport::default();
        report.tier_mut(TierName::Deps).restore = Some(RestoreReport {
            key: hostile.to_owned(),
            ..RestoreReport::new(RestoreOutcome::Miss, hostile)
        });
        insta::assert_snapshot!(render_summary(&report, ROOM), @r#"
        ### hotcrate

        | Tier | Restored | Size | Time | Saved | Size | Time |
        |---|---|--:|--:|---|--:|--:|
        | deps | **miss**: a\|b &lt;img src=x&gt; \[x\](y) \`c\` \*\*d\*\* \_\_e\_\_ \~\~f\~\~ \$g\$ \# h \| i &amp;lt; \\ \! |  |  | – |  |  |

        <details><summary>Keys</summary>

        | Tier | Asked for | Found | Stored under |
        |---|---|---|---|
        | deps | <code>a\|b &lt;img src=x&gt; \[x\](y) \`c\` \*\*d\*\* \_\_e\_\_ \~\~f\~\~ \$g\$ \# h \| i &amp;lt; \\ \!</code> |  |  |

        </details>
        "#);
    }

    /// A report that would make a page of some megabytes.
    fn large() -> RunReport {
        let mut report = report();
        let units = (0..30_000).map(|number| RebuiltUnit {
            unit: format!("package-{number}-1.0.0 (library, debug)"),
            reason: format!(
                "depends on package-{}, {}",
                number % 300,
                "which changed, ".repeat(30)
            ),
        });
        report.units.rebuilt_units = units.collect();
        report.warnings = vec!["it is slow".to_owned(); 1000];
        report
    }

    #[test]
    fn a_page_keeps_to_its_limit_and_counts_what_it_leaves_out() {
        for limit in [0, 100, 1_000, 2_000, 10_000, 100_000, ROOM] {
            let page = render_summary(&large(), limit);
            assert!(page.len() <= limit, "{} of {limit}", page.len());
            assert_eq!(
                page.matches("<details>").count(),
                page.matches("</details>").count()
            );
            assert!(
                limit < 1_000 || page.contains("| deps |"),
                "{limit}: {page}"
            );
        }
        let page = render_summary(&large(), 20_000);
        let named = page.matches("- package").count();
        let more: usize = page
            .lines()
            .filter_map(|line| {
                line.strip_prefix("And ")?
                    .split(' ')
                    .next()?
                    .parse::<usize>()
                    .ok()
            })
            .sum();
        assert_eq!(named + more, 30_000);
        assert!(page.contains("- and 980 more"), "{page}");
    }
}
