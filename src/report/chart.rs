//! Charts as inline SVG, drawn from numbers alone.
//!
//! Colours come from the page's style sheet by class, so that they follow its light or dark scheme. Each chart says what
//! it shows in words, for those who don't see it; the tables beside it have the figures.

use maud::{Markup, html};

/// The width of a chart in its own units; the page scales it.
const WIDTH: f64 = 720.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
/// Where bars begin, behind their labels, and how much room is left for figures behind them.
const LABELS: f64 = 230.0;
const FIGURES: f64 = 110.0;
const BASELINE: f64 = 180.0;

/// How many colours the style sheet has for owners.
pub(super) const COLOURS: usize = 8;

/// A piece of a bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    /// What it stands for, with its figure.
    pub label: String,
    /// The classes that colour it.
    pub class: String,
    /// How much.
    pub value: f64,
}

/// A bar with pieces.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    /// What it stands for.
    pub label: String,
    /// Its figure.
    pub figure: String,
    /// Its pieces, from the left or from below.
    pub segments: Vec<Segment>,
}

impl Bar {
    fn total(&self) -> f64 {
        self.segments.iter().map(|segment| segment.value).sum()
    }
}

/// One bar across the whole width: `whole` is the width's value, or the sum of the pieces if that is more.
pub(super) fn strip(id: &str, title: &str, description: &str, bar: &Bar, whole: f64) -> Markup {
    let whole = whole.max(bar.total()).max(f64::MIN_POSITIVE);
    let pieces = placed(&bar.segments, WIDTH / whole);
    frame(
        id,
        title,
        description,
        48.0,
        &html! {
            rect class="free" x="0" y="4" width=(px(WIDTH)) height="40" rx="6" {}
            @for (segment, begin, length) in &pieces {
                rect class=(segment.class) x=(px(*begin)) y="4" width=(px(*length)) height="40" {
                    title { (segment.label) }
                }
            }
        },
    )
}

/// Bars one below the other, the longest across the whole width that labels and figures leave.
pub(super) fn bars(id: &str, title: &str, description: &str, bars: &[Bar]) -> Markup {
    let longest = bars
        .iter()
        .map(Bar::total)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABELS - FIGURES) / longest;
    let rows = bars.iter().zip(steps(ROW));
    let height = steps(ROW).nth(bars.len()).unwrap_or(ROW);
    frame(
        id,
        title,
        description,
        height,
        &html! {
            @for (bar, top) in rows {
                text class="label" x=(px(LABELS - 10.0)) y=(px(top + 15.0)) text-anchor="end" {
                    (shortened(&bar.label)) title { (bar.label) }
                }
                @for (segment, begin, length) in &placed(&bar.segments, scale) {
                    rect class=(segment.class) x=(px(LABELS + begin)) y=(px(top + 3.0)) width=(px(*length)) height=(px(BAR)) {
                        title { (segment.label) }
                    }
                }
                text class="figure" x=(px(LABELS + bar.total() * scale + 8.0)) y=(px(top + 15.0)) { (bar.figure) }
            }
        },
    )
}

/// Bars side by side, the highest as high as the chart.
pub(super) fn columns(id: &str, title: &str, description: &str, bars: &[Bar]) -> Markup {
    let highest = bars
        .iter()
        .map(Bar::total)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scale = (BASELINE - 24.0) / highest;
    let step = WIDTH / steps(1.0).nth(bars.len().max(1)).unwrap_or(1.0);
    frame(
        id,
        title,
        description,
        BASELINE + 24.0,
        &html! {
            line class="axis" x1="0" x2=(px(WIDTH)) y1=(px(BASELINE)) y2=(px(BASELINE)) {}
            @for (bar, left) in bars.iter().zip(steps(step)) {
                @for (segment, begin, length) in &placed(&bar.segments, scale) {
                    rect class=(segment.class) x=(px(left + step * 0.15)) y=(px(BASELINE - begin - length)) width=(px(step * 0.7)) height=(px(*length)) {
                        title { (segment.label) }
                    }
                }
                @if bar.total() > 0.0 {
                    text class="figure" x=(px(left + step / 2.0)) y=(px(BASELINE - bar.total() * scale - 6.0)) text-anchor="middle" { (bar.figure) }
                }
                text class="label" x=(px(left + step / 2.0)) y=(px(BASELINE + 18.0)) text-anchor="middle" { (bar.label) }
            }
        },
    )
}

/// 0, one step, two steps, and so on.
fn steps(step: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(0.0), move |at| Some(at + step))
}

/// Where each piece begins and how long it is, at so many units for one of its value.
fn placed(segments: &[Segment], scale: f64) -> Vec<(&Segment, f64, f64)> {
    let mut begin = 0.0;
    let mut placed = Vec::new();
    for segment in segments.iter().filter(|segment| segment.value > 0.0) {
        let length = segment.value * scale;
        placed.push((segment, begin, length));
        begin += length;
    }
    placed
}

fn frame(id: &str, title: &str, description: &str, height: f64, content: &Markup) -> Markup {
    let (title_id, description_id) = (format!("{id}-title"), format!("{id}-text"));
    html! {
        svg id=(id) viewBox=(format!("0 0 {} {}", px(WIDTH), px(height))) role="img"
            aria-labelledby=(format!("{title_id} {description_id}")) {
            title id=(title_id) { (title) }
            desc id=(description_id) { (description) }
            (content)
        }
    }
}

/// A length or place, in tenths.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// As much of a label as there is room for: its end tells more than its beginning.
fn shortened(label: &str) -> String {
    const LONGEST: usize = 32;
    let length = label.chars().count();
    if length <= LONGEST {
        return label.to_owned();
    }
    let end: String = label.chars().skip(length - LONGEST + 1).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(value: f64) -> Segment {
        Segment {
            label: format!("<{value}>"),
            class: "c0".to_owned(),
            value,
        }
    }

    #[test]
    fn pieces_lie_end_to_end_and_empty_ones_are_left_out() {
        let segments = [segment(2.0), segment(0.0), segment(3.0)];
        let lengths: Vec<_> = placed(&segments, 10.0)
            .iter()
            .map(|(_, begin, length)| (*begin, *length))
            .collect();
        assert_eq!(lengths, [(0.0, 20.0), (20.0, 30.0)]);
    }

    #[test]
    fn a_strip_shows_the_share_of_the_whole_and_escapes_what_it_is_told() {
        let bar = Bar {
            label: String::new(),
            figure: String::new(),
            segments: vec![segment(1.0), segment(2.0)],
        };
        let drawn = strip("quota", "Quota", "3 of 6 & more", &bar, 6.0).into_string();
        insta::assert_snapshot!(drawn, @r#"<svg id="quota" viewBox="0 0 720 48" role="img" aria-labelledby="quota-title quota-text"><title id="quota-title">Quota</title><desc id="quota-text">3 of 6 &amp; more</desc><rect class="free" x="0" y="4" width="720" height="40" rx="6"></rect><rect class="c0" x="0" y="4" width="120" height="40"><title>&lt;1&gt;</title></rect><rect class="c0" x="120" y="4" width="240" height="40"><title>&lt;2&gt;</title></rect></svg>"#);
    }

    #[test]
    fn more_than_the_whole_still_fits_into_the_chart() {
        let bar = Bar {
            label: String::new(),
            figure: String::new(),
            segments: vec![segment(8.0)],
        };
        let drawn = strip("quota", "", "", &bar, 4.0).into_string();
        assert!(drawn.contains(r#"width="720""#), "{drawn}");
    }

    #[test]
    fn charts_of_nothing_have_no_numbers_that_are_none() {
        for drawn in [bars("a", "", "", &[]), columns("b", "", "", &[])] {
            let drawn = drawn.into_string();
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        }
    }
}
