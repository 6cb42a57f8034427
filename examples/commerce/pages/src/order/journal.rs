//! The entries of a saga's journal, read and told.

use commerce_contracts::SUBSCRIPTIONS;
use mainstay_saga::{Attempt, Document, Signature, journal::Entry};
use serde::Deserialize as _;
use serde_json::Value;

use super::facts::Noted;
use crate::time::Span;

/// Reads an entry; nothing if this build does not know it.
pub(crate) fn read(noted: &Noted) -> Option<Entry> {
    Entry::deserialize(&noted.entry).ok()
}

/// The service that carries out a step, which has the name of its command.
pub(crate) fn service_of(step: &str) -> &'static str {
    let takes = |it: &&commerce_contracts::Subscription| {
        it.topic.ends_with("-commands") && it.kinds.contains(&step)
    };
    let service = SUBSCRIPTIONS.iter().find(takes);
    service.map_or("order", |subscription| subscription.service)
}

/// A line of the journal: in which lane, in which direction, what, and its payload.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) lane: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) text: String,
    pub(crate) payload: Option<Value>,
    /// Whether it is a step back, or trouble.
    pub(crate) is_back: bool,
}

impl Told {
    /// What the entry says to people; nothing if this build does not know its kind.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let at = |step: &str, sign, text: String, is_back| Self {
            lane: service_of(step),
            sign,
            text,
            payload: None,
            is_back,
        };
        let order = |text: String, is_back| Self {
            lane: "order",
            sign: "•",
            text,
            payload: None,
            is_back,
        };
        Some(match entry {
            Entry::Started => order("saga started".to_owned(), false),
            Entry::Sent { step, attempt } => match attempt {
                Attempt::Do(1) => at(step, "→", step.clone(), false),
                Attempt::Do(attempt) => at(step, "→", format!("{step}, attempt {attempt}"), false),
                Attempt::Undo => at(step, "→", format!("undo of {step}"), true),
            },
            Entry::Done { step, result } => Self {
                payload: json(result),
                ..at(step, "←", result.kind().to_owned(), false)
            },
            Entry::Refused {
                step,
                refusal,
                retry_in,
            } => {
                let again = retry_in
                    .map(|micros| Span(i64::try_from(micros).unwrap_or(i64::MAX)))
                    .map(|span| format!(", again in {span}"));
                let text = format!("{}{}", refusal.kind(), again.unwrap_or_default());
                Self {
                    payload: json(refusal),
                    ..at(step, "←", text, true)
                }
            }
            Entry::Undoing { reason } => Self {
                payload: serde_json::to_value(reason).ok(),
                ..order("the saga goes back".to_owned(), true)
            },
            Entry::StepUndone { step } => at(step, "←", format!("{step} is undone"), true),
            Entry::Overdue { step: Some(step) } => {
                at(step, "!", format!("{step} is overdue"), true)
            }
            Entry::Overdue { step: None } => order("the deadline has passed".to_owned(), true),
            Entry::Broken { why } => order(format!("broken: {why}"), true),
            Entry::Mended { by } => order(format!("mended {}", text(by)), false),
            Entry::Retried { step, by } => {
                at(step, "↻", format!("{step} retried {}", text(by)), false)
            }
            Entry::Skipped { step, by } => {
                at(step, "↷", format!("{step} skipped {}", text(by)), false)
            }
            Entry::CancelRequested { by } => order(format!("cancelled {}", text(by)), true),
            Entry::Completed => order("saga completed".to_owned(), false),
            Entry::Undone => order("saga undone: every step is taken back".to_owned(), true),
            _ => return None,
        })
    }
}

fn text(by: &Signature) -> String {
    format!("by {}: {}", by.operator, by.reason)
}

/// The payload of a participant's answer.
fn json(answer: &Document) -> Option<Value> {
    serde_json::from_str(answer.json()).ok()
}

#[cfg(test)]
mod tests {
    use mainstay_saga::state::Reason;
    use serde_json::json;

    use super::*;

    fn told(entry: Value) -> Option<Told> {
        let at = "2026-01-01T00:00:00Z".to_owned();
        Told::of(&read(&Noted { at, entry })?)
    }

    /// As the saga's library writes it.
    fn written(entry: &Entry) -> Value {
        serde_json::to_value(entry).unwrap()
    }

    #[test]
    fn what_the_library_writes_is_told() {
        let document = Document::new("PaymentDeclined", 1, r#"{"code": "declined"}"#).unwrap();
        let refused = written(&Entry::Refused {
            step: "AuthorizePayment".to_owned(),
            refusal: document,
            retry_in: Some(2_000_000),
        });
        let refused = told(refused).unwrap();
        assert_eq!((refused.lane, refused.sign), ("payment", "←"));
        assert_eq!(refused.text, "PaymentDeclined, again in 2.00 s");
        assert_eq!(refused.payload, Some(json!({"code": "declined"})));
        assert!(refused.is_back);

        let sent = written(&Entry::Sent {
            step: "ReserveStock".to_owned(),
            attempt: Attempt::Do(2),
        });
        let sent = told(sent).unwrap();
        assert_eq!((sent.lane, sent.sign), ("inventory", "→"));
        assert_eq!(sent.text, "ReserveStock, attempt 2");

        let by = Signature::new("Jörg", "asked by phone");
        let cancelled = told(written(&Entry::CancelRequested { by: by.clone() })).unwrap();
        assert_eq!(cancelled.text, "cancelled by Jörg: asked by phone");
        let reason = Reason::Cancelled { by };
        let undoing = told(written(&Entry::Undoing { reason })).unwrap();
        let by = json!({"operator": "Jörg", "reason": "asked by phone"});
        assert_eq!(undoing.payload, Some(json!({"cancelled": {"by": by}})));
    }

    #[test]
    fn an_entry_of_a_newer_build_is_left_out() {
        assert!(told(json!({"an entry": "of a newer build"})).is_none());
    }
}
