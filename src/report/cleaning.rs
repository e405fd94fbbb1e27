//! A plan of what to clean, as lines of text.

use super::{
    render_bytes,
    survey::{lines_of, plain, table},
};
use crate::clean::CleanPlan;

const LONGEST_TEXT: usize = 120;

/// The plan as lines: everything that goes, with what that frees and why, and what stays.
pub fn render_clean_plan(plan: &CleanPlan) -> Vec<String> {
    let mut lines = Vec::new();
    if !plan.delete.is_empty() {
        let mut rows = table(&["Goes", "frees", "why"]);
        for column in rows.column_iter_mut().skip(2) {
            column.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
        for item in &plan.delete {
            rows.add_row([
                plain(&item.name, LONGEST_TEXT),
                render_bytes(item.bytes),
                plain(&item.reason.to_string(), LONGEST_TEXT),
            ]);
        }
        lines.extend(lines_of(&rows));
        lines.push(String::new());
    }
    for (name, why) in &plan.in_use {
        lines.push(format!(
            "{} stays: {}",
            plain(name, LONGEST_TEXT),
            plain(why, LONGEST_TEXT)
        ));
    }
    lines.push(format!(
        "{} to free, {} of buckets and entries stay",
        render_bytes(plan.freed),
        render_bytes(plan.kept)
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::{CleanItem, CleanReason, ThingKind};

    #[test]
    fn a_plan_names_everything_that_goes_with_what_it_frees_and_what_stays() {
        let item = |kind, name: &str, bytes, reason| CleanItem {
            thing: 0,
            kind,
            name: name.to_owned(),
            bytes,
            reason,
        };
        let plan = CleanPlan {
            delete: vec![
                item(
                    ThingKind::Bucket,
                    "/c/buckets-v1/app-1/worktree-fix-2",
                    2_000_000,
                    CleanReason::CheckoutGone("/work/fix".to_owned()),
                ),
                item(
                    ThingKind::Units,
                    "14 units in /work/app/target",
                    1_000,
                    CleanReason::Stale(vec![
                        "12 left the lockfile".to_owned(),
                        "2 of an older generation".to_owned(),
                    ]),
                ),
            ],
            in_use: vec![(
                "/c/buckets-v1/app-1/shared".to_owned(),
                "Cargo builds there".to_owned(),
            )],
            freed: 2_001_000,
            kept: 5_000,
        };
        insta::assert_snapshot!(render_clean_plan(&plan).join("\n"), @"
        Goes                                 frees  why
        /c/buckets-v1/app-1/worktree-fix-2  2.0 MB  /work/fix is gone
        14 units in /work/app/target        1.0 kB  12 left the lockfile; 2 of an older generation

        /c/buckets-v1/app-1/shared stays: Cargo builds there
        2.0 MB to free, 5.0 kB of buckets and entries stay
        ");
        let nothing = render_clean_plan(&CleanPlan::default()).join("\n");
        insta::assert_snapshot!(nothing, @"0 B to free, 0 B of buckets and entries stay");
    }
}
