//! A plan of what to delete, as lines of text.

use super::{
    render_bytes, render_entries,
    survey::{lines_of, plain, table},
};
use crate::inventory::{GcPlan, GcReason};

const LONGEST_KEY: usize = 100;

/// The plan as lines: every entry that goes with its reason, and what stays.
pub fn render_gc_plan(plan: &GcPlan) -> Vec<String> {
    let mut lines = Vec::new();
    if !plan.delete.is_empty() {
        let mut rows = table(&["Goes", "size", "branch", "why"]);
        for column in rows.column_iter_mut().skip(2) {
            column.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
        for deletion in &plan.delete {
            rows.add_row([
                plain(&deletion.entry.key, LONGEST_KEY),
                render_bytes(deletion.entry.bytes),
                plain(&deletion.entry.scope, LONGEST_KEY),
                plain(&reason(&deletion.reason), LONGEST_KEY),
            ]);
        }
        lines.extend(lines_of(&rows));
        lines.push(String::new());
    }
    lines.push(format!(
        "{} of {} to delete, {} of {} stay",
        render_entries(plan.freed.entries),
        render_bytes(plan.freed.bytes),
        plan.kept.entries,
        render_bytes(plan.kept.bytes)
    ));
    lines
}

/// The reason in a few words: of the successor its last part is enough.
fn reason(reason: &GcReason) -> String {
    match reason {
        GcReason::Superseded { by } => {
            let last = by.rsplit('-').next().unwrap_or(by);
            format!("superseded by …-{last}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{
        GcRequest, GcScope,
        fixture::{entry, listing},
        judge, plan_gc,
    };

    fn told(max_bytes: u64) -> String {
        let listing = listing(vec![
            entry("hotcrate-v1-registry-11111111-22222222")
                .created(2)
                .megabytes(40)
                .build(),
            entry("hotcrate-v1-registry-11111111-33333333")
                .created(1)
                .megabytes(41)
                .build(),
            entry("hotcrate-v1-registry-44444444-22222222")
                .created(1)
                .megabytes(2)
                .used(0.5)
                .build(),
        ]);
        let request = GcRequest {
            scope: GcScope::Own,
            max_bytes,
        };
        render_gc_plan(&plan_gc(&judge(&listing), &request)).join("\n")
    }

    #[test]
    fn a_plan_names_every_entry_with_its_reason() {
        insta::assert_snapshot!(told(10_000_000), @"
        Goes                                       size  branch           why
        hotcrate-v1-registry-11111111-33333333  41.0 MB  refs/heads/main  over the budget, and unused since 2026-11-20T12:00:00Z
        hotcrate-v1-registry-11111111-22222222  40.0 MB  refs/heads/main  superseded by …-33333333

        2 entries of 81.0 MB to delete, 1 of 2.0 MB stay
        ");
    }

    #[test]
    fn a_plan_without_anything_to_do_says_what_stays() {
        let nothing = render_gc_plan(&GcPlan::default()).join("\n");
        insta::assert_snapshot!(nothing, @"0 entries of 0 B to delete, 0 of 0 B stay");
    }
}
