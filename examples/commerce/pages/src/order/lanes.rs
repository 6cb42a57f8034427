//! What happened to an order, lane by lane: pure, from what the services say.

use mainstay_saga::{Attempt, journal::Entry};

use super::{
    facts::{Facts, Mails, Shipment, Timeline},
    journal::{read, service_of},
};
use crate::time::{Span, micros};

/// The lanes, from top to bottom.
const LANES: [&str; 5] = ["order", "inventory", "payment", "shipping", "notification"];
/// Characters of a reason in the picture; the journal has all.
const REASON: usize = 44;

/// What one service did.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) items: Vec<Item>,
}

/// Something with a label: a moment, or a step with its attempts.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Item {
    pub(crate) label: String,
    pub(crate) tone: Tone,
    /// One after the other. A moment is one without an end.
    pub(crate) stretches: Vec<Stretch>,
    /// When a command was sent again.
    pub(crate) again: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    pub(crate) from: i64,
    /// None: a moment.
    pub(crate) until: Option<i64>,
    pub(crate) ending: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    Done,
    Refused,
    /// It waits for its answer, or nobody waits for it any more.
    Open,
}

/// Forward, back, or in need of help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Forward,
    Back,
    Trouble,
}

impl Item {
    fn moment(at: i64, label: impl Into<String>, tone: Tone) -> Self {
        Self {
            label: label.into(),
            tone,
            stretches: vec![Stretch {
                from: at,
                until: None,
                ending: Ending::Done,
            }],
            again: Vec::new(),
        }
    }

    /// Every time that the item names.
    pub(crate) fn instants(&self) -> impl Iterator<Item = i64> + '_ {
        let stretches = self.stretches.iter();
        let ends = stretches.flat_map(|it| [Some(it.from), it.until]);
        ends.flatten().chain(self.again.iter().copied())
    }
}

/// The lanes of an order. What is not answered ends at `now`.
pub(crate) fn of(facts: &Facts, now: i64) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = LANES
        .map(|name| Lane {
            name,
            items: Vec::new(),
        })
        .into();
    let mut add = |name: &str, item: Item| {
        if let Some(lane) = lanes.iter_mut().find(|lane| lane.name == name) {
            lane.items.push(item);
        }
    };
    for entered in &facts.order.history {
        let Some(at) = micros(&entered.at) else {
            continue;
        };
        let is_back = entered.status.starts_with("cancel");
        let tone = if is_back { Tone::Back } else { Tone::Forward };
        let label = match &entered.reason {
            Some(reason) => format!("{}: {}", entered.status, clipped(reason)),
            None => entered.status.clone(),
        };
        add("order", Item::moment(at, label, tone));
    }
    if let Ok(Some(timeline)) = &facts.timeline {
        for (service, item) in steps(timeline, now) {
            add(service, item);
        }
    }
    if let Ok(Some(shipment)) = &facts.shipment {
        for item in scans(shipment) {
            add("shipping", item);
        }
    }
    if let Ok(Some(mails)) = &facts.mails {
        for item in sent(mails) {
            add("notification", item);
        }
    }
    lanes
}

fn clipped(text: &str) -> String {
    if text.chars().count() <= REASON {
        return text.to_owned();
    }
    let clipped: String = text.chars().take(REASON - 1).collect();
    clipped + "…"
}

fn scans(shipment: &Shipment) -> impl Iterator<Item = Item> {
    let tone = |status: &str| match status {
        "cancelled" | "returned" => Tone::Back,
        "delivery_failed" => Tone::Trouble,
        _ => Tone::Forward,
    };
    shipment.tracking.iter().filter_map(move |scan| {
        let at = micros(&scan.at)?;
        Some(Item::moment(at, scan.status.clone(), tone(&scan.status)))
    })
}

fn sent(mails: &Mails) -> impl Iterator<Item = Item> {
    mails.notifications.iter().filter_map(|mail| {
        let tone = if mail.status == "refused" {
            Tone::Trouble
        } else {
            Tone::Forward
        };
        let label = format!("{} {} by {}", mail.news, mail.status, mail.channel);
        Some(Item::moment(micros(&mail.created_at)?, label, tone))
    })
}

/// A step or its undo, with its attempts.
struct Track {
    step: String,
    is_undo: bool,
    item: Item,
}

/// The steps of the saga, and what operators did to it.
fn steps(timeline: &Timeline, now: i64) -> Vec<(&'static str, Item)> {
    let mut tracks: Vec<Track> = Vec::new();
    let mut moments = Vec::new();
    let mut moment =
        |lane, at, label: String, tone| moments.push((lane, Item::moment(at, label, tone)));
    for noted in &timeline.journal {
        let (Some(at), Some(entry)) = (micros(&noted.at), read(noted)) else {
            continue;
        };
        match entry {
            Entry::Sent { step, attempt } => {
                let is_undo = attempt == Attempt::Undo;
                if is_undo {
                    end(&mut tracks, &step, false, at, Ending::Open);
                }
                send(&mut tracks, step, is_undo, at);
            }
            Entry::Done { step, .. } => end(&mut tracks, &step, false, at, Ending::Done),
            Entry::Refused { step, .. } => end(&mut tracks, &step, false, at, Ending::Refused),
            Entry::StepUndone { step } => end(&mut tracks, &step, true, at, Ending::Done),
            Entry::Retried { step, .. } => moment(
                service_of(&step),
                at,
                "retried by an operator".to_owned(),
                Tone::Forward,
            ),
            Entry::Skipped { step, .. } => moment(
                service_of(&step),
                at,
                "skipped by an operator".to_owned(),
                Tone::Forward,
            ),
            Entry::Overdue { step: Some(step) } => moment(
                service_of(&step),
                at,
                format!("{step} is overdue"),
                Tone::Trouble,
            ),
            Entry::Overdue { step: None } => moment(
                "order",
                at,
                "the deadline has passed".to_owned(),
                Tone::Trouble,
            ),
            Entry::Broken { why } => moment(
                "order",
                at,
                format!("broken: {}", clipped(&why)),
                Tone::Trouble,
            ),
            Entry::Mended { .. } => moment(
                "order",
                at,
                "mended by an operator".to_owned(),
                Tone::Forward,
            ),
            Entry::CancelRequested { .. } => {
                moment("order", at, "cancel requested".to_owned(), Tone::Back);
            }
            // The others happen at no step.
            _ => {}
        }
    }
    let named = tracks.into_iter().map(|track| {
        let mut item = track.item;
        close(&mut item, now, Ending::Open);
        item.label = label(&track.step, track.is_undo, &item);
        (service_of(&track.step), item)
    });
    named.chain(moments).collect()
}

fn send(tracks: &mut Vec<Track>, step: String, is_undo: bool, at: i64) {
    let open = Stretch {
        from: at,
        until: None,
        ending: Ending::Open,
    };
    let known = tracks
        .iter_mut()
        .find(|it| it.step == step && it.is_undo == is_undo);
    if let Some(track) = known {
        let item = &mut track.item;
        if item
            .stretches
            .last()
            .is_some_and(|last| last.until.is_none())
        {
            item.again.push(at);
        } else {
            item.stretches.push(open);
        }
        return;
    }
    let tone = if is_undo { Tone::Back } else { Tone::Forward };
    tracks.push(Track {
        step,
        is_undo,
        item: Item {
            label: String::new(),
            tone,
            stretches: vec![open],
            again: Vec::new(),
        },
    });
}

fn end(tracks: &mut [Track], step: &str, is_undo: bool, at: i64, ending: Ending) {
    let known = tracks
        .iter_mut()
        .find(|it| it.step == step && it.is_undo == is_undo);
    if let Some(track) = known {
        close(&mut track.item, at, ending);
    }
}

fn close(item: &mut Item, at: i64, ending: Ending) {
    if let Some(last) = item
        .stretches
        .last_mut()
        .filter(|last| last.until.is_none())
    {
        (last.until, last.ending) = (Some(at.max(last.from)), ending);
    }
}

/// The step, how long it took, and in how many attempts.
fn label(step: &str, is_undo: bool, item: &Item) -> String {
    let first = item.stretches.first().map_or(0, |it| it.from);
    let last = item.stretches.last();
    let took = last
        .and_then(|it| it.until)
        .map_or(0, |until| until - first);
    let name = if is_undo {
        format!("undo {step}")
    } else {
        step.to_owned()
    };
    let ending = match last.map(|it| it.ending) {
        Some(Ending::Refused) => " refused",
        Some(Ending::Open) => " …",
        _ => "",
    };
    let attempts = item.stretches.len();
    if attempts > 1 {
        return format!("{name}{ending} {} in {attempts} attempts", Span(took));
    }
    format!("{name}{ending} {}", Span(took))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn timeline(entries: &[(i64, Value)]) -> Timeline {
        let at = |seconds: i64| format!("2026-01-01T00:00:{seconds:02}Z");
        let journal: Vec<Value> = (entries.iter())
            .map(|(seconds, entry)| json!({"at": at(*seconds), "entry": entry}))
            .collect();
        let run = json!({
            "saga": "place-order", "version": 1, "run": "r", "key": "o", "status": "running", "is_overdue": false,
            "step": null, "started_at": at(0), "wake_at": null,
        });
        serde_json::from_value(json!({"run": run, "journal": journal})).unwrap()
    }

    fn sent(step: &str, attempt: &Value) -> Value {
        json!({"sent": {"step": step, "attempt": attempt}})
    }

    fn seconds(item: &Item) -> Vec<(i64, i64, Ending)> {
        let start = micros("2026-01-01T00:00:00Z").unwrap();
        let second = |at: i64| (at - start) / 1_000_000;
        let stretches = item.stretches.iter();
        stretches
            .map(|it| (second(it.from), second(it.until.unwrap()), it.ending))
            .collect()
    }

    #[test]
    fn a_retried_step_is_one_item_and_its_undo_another() {
        let refusal = json!({"kind": "PaymentDeclined", "version": 1, "payload": {}});
        let journal = timeline(&[
            (0, json!("started")),
            (1, sent("ReserveStock", &json!({"do": 1}))),
            (
                2,
                json!({"done": {"step": "ReserveStock", "result": {"kind": "StockReserved", "version": 1, "payload": {}}}}),
            ),
            (2, sent("AuthorizePayment", &json!({"do": 1}))),
            (
                3,
                json!({"refused": {"step": "AuthorizePayment", "refusal": refusal, "retry_in": 2_000_000}}),
            ),
            (5, sent("AuthorizePayment", &json!({"do": 2}))),
            (
                6,
                json!({"refused": {"step": "AuthorizePayment", "refusal": refusal, "retry_in": null}}),
            ),
            (6, sent("ReserveStock", &json!("undo"))),
            (7, sent("ReserveStock", &json!("undo"))),
            (9, json!({"an entry": "of a newer build"})),
        ]);
        let now = micros("2026-01-01T00:00:10Z").unwrap();
        let items = steps(&journal, now);
        let lanes: Vec<_> = items
            .iter()
            .map(|(lane, item)| (*lane, &*item.label, item.tone))
            .collect();
        assert_eq!(
            lanes,
            [
                ("inventory", "ReserveStock 1.00 s", Tone::Forward),
                (
                    "payment",
                    "AuthorizePayment refused 4.00 s in 2 attempts",
                    Tone::Forward
                ),
                ("inventory", "undo ReserveStock … 4.00 s", Tone::Back),
            ]
        );
        let refused = Ending::Refused;
        assert_eq!(seconds(&items[1].1), [(2, 3, refused), (5, 6, refused)]);
        assert_eq!(seconds(&items[2].1), [(6, 10, Ending::Open)]);
        assert_eq!(items[2].1.again.len(), 1, "it was sent again");
    }
}
