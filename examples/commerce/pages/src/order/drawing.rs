//! The lanes as an inline picture.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{
    lanes::{Ending, Item, Lane, Tone},
    scale::{Label, Rows, Scale, Shape},
};
use crate::time::{Span, of_day};

const WIDTH: f64 = 1_000.0;
/// The names of the lanes stand left of it.
const LEFT: f64 = 112.0;
const RIGHT: f64 = WIDTH - 16.0;
const ROW: f64 = 20.0;
const PADDING: f64 = 8.0;
const AXIS: f64 = 26.0;
/// Room between two times on the axis.
const MARKS: f64 = 74.0;
/// A shape is at least this wide.
const THIN: f64 = 3.0;

/// An item with its place.
struct Spot<'a> {
    item: &'a Item,
    y: f64,
    label: Label,
}

/// A lane with its place.
struct Strip<'a> {
    lane: &'a Lane,
    y: f64,
    height: f64,
    spots: Vec<Spot<'a>>,
}

/// Draws the lanes of what happened from `start` on.
pub(crate) fn picture(lanes: &[Lane], start: i64) -> Markup {
    let items = lanes.iter().flat_map(|lane| &lane.items);
    let mut instants: BTreeSet<i64> = items.flat_map(Item::instants).collect();
    instants.insert(start);
    let scale = Scale::new(instants, LEFT + PADDING, RIGHT);
    let mut y = AXIS;
    let mut strips = Vec::new();
    for lane in lanes {
        let strip = strip(lane, &scale, y);
        y += strip.height;
        strips.push(strip);
    }
    html! {
        svg.lanes viewBox=(format!("0 0 {WIDTH} {y}")) role="img" aria-label="What each service did, over time" {
            @for (at, x) in scale.marks(MARKS) {
                line.axis x1=(n(x)) x2=(n(x)) y1=(AXIS - 6.0) y2=(n(y)) {}
                text.axis x=(n(x)) y=(AXIS - 10.0) text-anchor=(if x > RIGHT - MARKS / 2.0 { "end" } else { "start" }) { (Span(at - start)) }
            }
            @for (index, strip) in strips.iter().enumerate() {
                @if index % 2 == 0 {
                    rect.band x="0" y=(n(strip.y)) width=(WIDTH) height=(n(strip.height)) {}
                }
                text.lane x="8" y=(n(strip.y + strip.height / 2.0 + 4.0)) { (strip.lane.name) }
                @if strip.spots.is_empty() {
                    text.idle x=(LEFT + PADDING) y=(n(strip.y + strip.height / 2.0 + 4.0)) { "nothing" }
                }
                @for spot in &strip.spots { (drawn(spot, &scale, start)) }
            }
        }
    }
}

fn strip<'a>(lane: &'a Lane, scale: &Scale, y: f64) -> Strip<'a> {
    let mut items: Vec<&Item> = lane.items.iter().collect();
    items.sort_by_key(|item| item.instants().min());
    let mut rows = Rows::default();
    let mut spots = Vec::new();
    for item in items {
        let (from, until) = ends(item, scale);
        let shape = Shape {
            from,
            until,
            is_solid: item.stretches.len() == 1,
        };
        let placed = rows.place(shape, item.label.chars().count(), RIGHT);
        spots.push(Spot {
            item,
            y: y + PADDING + row(placed.row) * ROW,
            label: placed.label,
        });
    }
    let height = 2.0f64.mul_add(PADDING, row(rows.len().max(1)) * ROW);
    Strip {
        lane,
        y,
        height,
        spots,
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are few rows")]
const fn row(number: usize) -> f64 {
    number as f64
}

/// From where to where an item is drawn, its label apart.
fn ends(item: &Item, scale: &Scale) -> (f64, f64) {
    let mut places: Vec<f64> = item.instants().map(|at| scale.x(at)).collect();
    places.sort_by(f64::total_cmp);
    let from = places.first().copied().unwrap_or(LEFT);
    (
        from,
        places.last().copied().unwrap_or(from).max(from + THIN),
    )
}

fn drawn(spot: &Spot<'_>, scale: &Scale, start: i64) -> Markup {
    let Spot { item, y, label } = spot;
    let tone = match item.tone {
        Tone::Forward => "forward",
        Tone::Back => "back",
        Tone::Trouble => "trouble",
    };
    let (from, until) = ends(item, scale);
    let first = item.instants().min().unwrap_or(start);
    let anchor = if label.ends_there { "end" } else { "start" };
    html! {
        g class=(tone) {
            title { (item.label) " at +" (Span(first - start)) ", " (of_day(first)) }
            @if item.stretches.len() > 1 {
                line.wait x1=(n(from)) x2=(n(until)) y1=(n(y + 10.0)) y2=(n(y + 10.0)) {}
            }
            @for stretch in &item.stretches {
                @let x = scale.x(stretch.from);
                @match stretch.until {
                    None => circle cx=(n(x)) cy=(n(y + 10.0)) r="4" {},
                    Some(until) => rect class=(class(stretch.ending)) x=(n(x)) y=(n(y + 2.0)) width=(n((scale.x(until) - x).max(THIN))) height="16" rx="2" {},
                }
            }
            @for at in &item.again {
                line.again x1=(n(scale.x(*at))) x2=(n(scale.x(*at))) y1=(n(*y)) y2=(n(y + 20.0)) {}
            }
            text x=(n(label.x)) y=(n(y + 14.0)) text-anchor=(anchor) { (item.label) }
        }
    }
}

const fn class(ending: Ending) -> &'static str {
    match ending {
        Ending::Done => "done",
        Ending::Refused => "refused",
        Ending::Open => "open",
    }
}

/// A coordinate with one digit behind the point.
fn n(x: f64) -> String {
    format!("{x:.1}")
}
