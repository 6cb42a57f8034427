//! The entries of a saga's journal, read.

use commerce_contracts::SUBSCRIPTIONS;
use serde::Deserialize;
use serde_json::Value;

use super::facts::Noted;

/// An entry, as the saga's timeline has it.
#[derive(Clone, PartialEq, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    Started,
    Sent {
        step: String,
        attempt: Attempt,
    },
    Done {
        step: String,
        result: Document,
    },
    Refused {
        step: String,
        refusal: Document,
        retry_in: Option<i64>,
    },
    Undoing {
        reason: Value,
    },
    StepUndone {
        step: String,
    },
    Overdue {
        step: Option<String>,
    },
    Broken {
        why: String,
    },
    Mended {
        by: Signature,
    },
    Retried {
        step: String,
        by: Signature,
    },
    Skipped {
        step: String,
        by: Signature,
    },
    CancelRequested {
        by: Signature,
    },
    Completed,
    Undone,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Attempt {
    Do(u32),
    Undo,
}

/// An answer of a participant.
#[derive(Clone, PartialEq, Deserialize, Debug)]
pub(crate) struct Document {
    pub(crate) kind: String,
    pub(crate) payload: Value,
}

#[derive(Clone, PartialEq, Eq, Deserialize, Debug)]
pub(crate) struct Signature {
    pub(crate) operator: String,
    pub(crate) reason: String,
}

impl Signature {
    fn text(&self) -> String {
        format!("by {}: {}", self.operator, self.reason)
    }
}

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

impl Entry {
    /// What the entry says to people.
    pub(crate) fn told(&self) -> Told {
        let at = |step: &str, sign, text: String, is_back| Told {
            lane: service_of(step),
            sign,
            text,
            payload: None,
            is_back,
        };
        let order = |text: String, is_back| Told {
            lane: "order",
            sign: "•",
            text,
            payload: None,
            is_back,
        };
        match self {
            Self::Started => order("saga started".to_owned(), false),
            Self::Sent { step, attempt } => match attempt {
                Attempt::Do(1) => at(step, "→", step.clone(), false),
                Attempt::Do(attempt) => at(step, "→", format!("{step}, attempt {attempt}"), false),
                Attempt::Undo => at(step, "→", format!("undo of {step}"), true),
            },
            Self::Done { step, result } => Told {
                payload: Some(result.payload.clone()),
                ..at(step, "←", result.kind.clone(), false)
            },
            Self::Refused {
                step,
                refusal,
                retry_in,
            } => {
                let again = retry_in
                    .as_ref()
                    .map(|micros| format!(", again in {}", crate::time::Span(*micros)));
                let text = format!("{}{}", refusal.kind, again.unwrap_or_default());
                Told {
                    payload: Some(refusal.payload.clone()),
                    ..at(step, "←", text, true)
                }
            }
            Self::Undoing { reason } => Told {
                payload: Some(reason.clone()),
                ..order("the saga goes back".to_owned(), true)
            },
            Self::StepUndone { step } => at(step, "←", format!("{step} is undone"), true),
            Self::Overdue { step: Some(step) } => at(step, "!", format!("{step} is overdue"), true),
            Self::Overdue { step: None } => order("the deadline has passed".to_owned(), true),
            Self::Broken { why } => order(format!("broken: {why}"), true),
            Self::Mended { by } => order(format!("mended {}", by.text()), false),
            Self::Retried { step, by } => {
                at(step, "↻", format!("{step} retried {}", by.text()), false)
            }
            Self::Skipped { step, by } => {
                at(step, "↷", format!("{step} skipped {}", by.text()), false)
            }
            Self::CancelRequested { by } => order(format!("cancelled {}", by.text()), true),
            Self::Completed => order("saga completed".to_owned(), false),
            Self::Undone => order("saga undone: every step is taken back".to_owned(), true),
        }
    }
}
