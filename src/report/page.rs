//! The state of a repository's caches as one HTML page: charts, tables, and every entry.
//!
//! Invariants: the page needs nothing but itself: no script, no font, no picture, nothing from the network, and its own
//! policy forbids them; what keys and branches are called is text in it and nothing else; and it can be read without
//! seeing the charts.

use jiff::SignedDuration;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    chart::{self, Bar, COLOURS, Segment},
    render_age, render_bytes, render_entries,
    survey::{render_fate, render_percent},
};
use crate::inventory::{JudgedEntry, Share, Survey};

/// How many bars a chart has at most.
const MOST_BARS: usize = 12;
/// How many columns the chart of ages has: a day each, and the last for all that is older.
const DAYS: usize = 8;
const STYLE: &str = include_str!("page.css");

/// The survey as an HTML page.
pub fn render_page(survey: &Survey) -> String {
    let title = format!("Caches of {}", survey.place);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (title) }
                    p class="lead" { (lead(survey)) }
                    (facts(survey))
                    (advice(survey))
                    (quota(survey))
                    (ages(survey))
                    (shares("branches", "By branch", "branch", &survey.branches))
                    (shares("jobs", "By job", "job", &survey.jobs))
                    (next(survey))
                    (entries(survey))
                }
                footer {
                    "Made by hotcrate " (env!("CARGO_PKG_VERSION")) " at " (format!("{:.0}", survey.taken_at)) "."
                    @for note in &survey.notes { " Note: " (note) "." }
                }
            }
        }
    };
    page.into_string()
}

fn lead(survey: &Survey) -> String {
    let assumed = if survey.quota.limit_is_known {
        ""
    } else {
        " that a repository may store unless somebody raised it"
    };
    format!(
        "{} of the {}{assumed}: {}, in {}.",
        render_bytes(survey.quota.used.bytes),
        render_bytes(survey.quota.limit_bytes),
        render_percent(survey.quota.fullness()),
        render_entries(survey.quota.used.entries)
    )
}

fn facts(survey: &Survey) -> Markup {
    let facts = [
        ("Superseded", survey.superseded),
        ("Out of everybody's reach", survey.unreadable),
        ("Never restored", survey.never_restored),
    ];
    html! {
        dl class="facts" {
            @for (name, count) in facts {
                div { dt { (name) } dd { (render_bytes(count.bytes)) small { (render_entries(count.entries)) } } }
            }
        }
    }
}

fn advice(survey: &Survey) -> Markup {
    html! {
        @if !survey.advice.is_empty() {
            section class="advice" {
                h2 { "What to do" }
                ul { @for advice in &survey.advice { li { (with_code(&advice.text)) } } }
            }
        }
    }
}

/// `text` with what stands between back quotes as code.
fn with_code(text: &str) -> Markup {
    html! {
        @for (number, piece) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

fn quota(survey: &Survey) -> Markup {
    let segments: Vec<_> = survey
        .owners
        .iter()
        .enumerate()
        .map(|(index, share)| (share, colour(index)))
        .flat_map(|(share, class)| {
            let alive = share.count.bytes - share.dead.bytes;
            [
                segment(&share.name, alive, class.clone()),
                segment(
                    &format!("{}, dead", share.name),
                    share.dead.bytes,
                    format!("{class} dead"),
                ),
            ]
        })
        .chain(
            survey
                .unlisted
                .iter()
                .map(|unlisted| segment(&unlisted.why, unlisted.count.bytes, "other".to_owned())),
        )
        .collect();
    let told: Vec<_> = survey
        .owners
        .iter()
        .map(|share| format!("{} {}", share.name, render_bytes(share.count.bytes)))
        .collect();
    let bar = Bar {
        label: String::new(),
        figure: String::new(),
        segments,
    };
    html! {
        section {
            h2 { "By owner" }
            (chart::strip("quota", "The quota by owner", &told.join(", "), &bar, float(survey.quota.limit_bytes)))
            table {
                thead { tr { th { "Owner" } th class="number" { "Entries" } th class="number" { "Size" } th class="number" { "Dead" } } }
                tbody {
                    @for (index, share) in survey.owners.iter().enumerate() {
                        tr {
                            td { span class={ "swatch " (colour(index)) } {} (share.name) }
                            (figures(share))
                        }
                    }
                    @if let Some(unlisted) = &survey.unlisted {
                        tr {
                            td { span class="swatch other" {} (unlisted.why) }
                            td class="number" { (unlisted.count.entries) }
                            td class="number" { (render_bytes(unlisted.count.bytes)) }
                            td {}
                        }
                    }
                }
            }
            p class="hint" { "Paler pieces are dead: superseded, or out of everybody's reach." }
        }
    }
}

fn ages(survey: &Survey) -> Markup {
    let mut days = [(0_u64, 0_u64); DAYS];
    for entry in &survey.entries {
        let unused = survey.taken_at.duration_since(entry.entry.used_at);
        let day = usize::try_from(unused.as_hours().max(0) / 24).unwrap_or(DAYS);
        let (alive, dead) = &mut days[day.min(DAYS - 1)];
        *(if entry.is_dead() { dead } else { alive }) += entry.entry.bytes;
    }
    let bars: Vec<_> = days
        .into_iter()
        .enumerate()
        .map(|(day, (alive, dead))| Bar {
            label: match day {
                0 => "today".to_owned(),
                1 => "1 day".to_owned(),
                day if day == DAYS - 1 => format!("{day} days on"),
                day => format!("{day} days"),
            },
            figure: render_bytes(alive + dead),
            segments: vec![
                segment("alive", alive, "c0".to_owned()),
                segment("dead", dead, "c0 dead".to_owned()),
            ],
        })
        .collect();
    let told: Vec<_> = bars
        .iter()
        .map(|bar| format!("{}: {}", bar.label, bar.figure))
        .collect();
    html! {
        section {
            h2 { "By last use" }
            (chart::columns("ages", "What was last used how many days ago", &told.join(", "), &bars))
            p class="hint" { (horizon(survey)) }
        }
    }
}

fn horizon(survey: &Survey) -> String {
    match survey.eviction.horizon_seconds {
        Some(seconds) => format!(
            "There is hardly any room left: what goes unused for {} is evicted.",
            render_age(SignedDuration::from_secs(seconds))
        ),
        None => "There is room left: nothing is evicted for want of it.".to_owned(),
    }
}

fn shares(id: &str, title: &str, what: &str, shares: &[Share]) -> Markup {
    let bars: Vec<_> = shares
        .iter()
        .take(MOST_BARS)
        .map(|share| Bar {
            label: share.name.clone(),
            figure: render_bytes(share.count.bytes),
            segments: vec![
                segment(
                    "alive",
                    share.count.bytes - share.dead.bytes,
                    "c0".to_owned(),
                ),
                segment("dead", share.dead.bytes, "c0 dead".to_owned()),
            ],
        })
        .collect();
    let told: Vec<_> = bars
        .iter()
        .map(|bar| format!("{}: {}", bar.label, bar.figure))
        .collect();
    html! {
        @if !shares.is_empty() {
            section {
                h2 { (title) }
                (chart::bars(id, title, &told.join(", "), &bars))
                details {
                    summary { "As a table" }
                    table {
                        thead { tr { th { (what) } th class="number" { "Entries" } th class="number" { "Size" } th class="number" { "Dead" } } }
                        tbody { @for share in shares { tr { td { (share.name) } (figures(share)) } } }
                    }
                }
            }
        }
    }
}

fn figures(share: &Share) -> Markup {
    html! {
        td class="number" { (share.count.entries) }
        td class="number" { (render_bytes(share.count.bytes)) }
        td class="number" { @if share.dead.entries > 0 { (render_bytes(share.dead.bytes)) } }
    }
}

fn next(survey: &Survey) -> Markup {
    html! {
        @if !survey.eviction.next.is_empty() {
            section {
                h2 { "Next to go" }
                ol {
                    @for next in &survey.eviction.next {
                        li {
                            code { (next.key) } " " small { (next.scope) ", " (render_bytes(next.bytes)) }
                            br; (render_fate(next, &survey.place, survey.taken_at))
                        }
                    }
                }
            }
        }
    }
}

fn entries(survey: &Survey) -> Markup {
    html! {
        section {
            h2 { "Every entry" }
            details {
                summary { (render_entries(survey.entries.len() as u64)) ", the largest first" }
                table {
                    thead { tr { th { "Key" } th { "Branch" } th class="number" { "Size" } th { "Made" } th { "Last used" } th { "State" } } }
                    tbody {
                        @for entry in &survey.entries {
                            tr {
                                td { code { (entry.entry.key) } }
                                td { (entry.entry.scope) }
                                td class="number" { (render_bytes(entry.entry.bytes)) }
                                td { (format!("{:.0}", entry.entry.created_at)) }
                                td { (format!("{:.0}", entry.entry.used_at)) }
                                td { (state(entry)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn state(entry: &JudgedEntry) -> String {
    if let Some(because) = entry.unreadable {
        because.to_string()
    } else if let Some(by) = &entry.superseded_by {
        format!("superseded by {by}")
    } else if entry.never_restored {
        "never restored".to_owned()
    } else {
        String::new()
    }
}

fn segment(name: &str, bytes: u64, class: String) -> Segment {
    Segment {
        label: format!("{name}: {}", render_bytes(bytes)),
        class,
        value: float(bytes),
    }
}

fn colour(index: usize) -> String {
    if index < COLOURS {
        format!("c{index}")
    } else {
        "other".to_owned()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a chart has a few hundred points"
)]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{
        fixture::{entry, listing},
        survey,
    };

    #[test]
    fn whatever_entries_are_called_is_text_and_the_page_needs_nothing_from_elsewhere() {
        let entries = vec![
            entry("<script>alert(1)</script>")
                .scope("refs/heads/\"><img alt=x>")
                .build(),
        ];
        let mut listing = listing(entries);
        listing.notes.push("<b>".to_owned());
        let page = render_page(&survey(&listing));
        for markup in [
            "<script", "<img", "<b>", "<link", "<iframe", " src=", " href=", "url(", "@import",
            "http:", "https:",
        ] {
            assert!(!page.contains(markup), "{markup}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("refs/heads/&quot;&gt;&lt;img alt=x&gt;"));
    }

    #[test]
    fn every_chart_says_what_it_shows() {
        let page = render_page(&survey(&listing(vec![
            entry("v0-rust-test-Linux-x64-11111111-22222222")
                .megabytes(7)
                .build(),
        ])));
        assert_eq!(page.matches("<svg").count(), 4);
        assert_eq!(page.matches("role=\"img\"").count(), 4);
        assert_eq!(page.matches("<desc").count(), 4);
        assert!(page.contains("rust-cache 7.0 MB</desc>"), "{page}");
    }

    #[test]
    fn an_empty_repository_has_a_page_too() {
        let page = render_page(&survey(&listing(Vec::new())));
        assert!(page.contains("in 0 entries"), "{page}");
        assert!(!page.contains("NaN"), "{page}");
    }
}
