//! What operators search by, and what they see.

use std::time::SystemTime;

use mainstay_messaging::{Group, Topic, broker::Content};
use serde::{Deserialize, Serialize};

use crate::letter::{DeadLetter, DeadLetterId, State, as_optional_rfc3339, as_rfc3339};

/// Which messages are meant: those that match everything that is set.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use = "a query selects nothing by itself"]
#[non_exhaustive]
pub struct Query {
    /// The consumer group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The key, as [`BlockedKey`](crate::BlockedKey) names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The kind of event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The message's id within its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The fingerprint of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// In the queue since this time or later; microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// In the queue since before this time; microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

impl Query {
    /// All messages, resolved ones included.
    pub fn all() -> Self {
        Self::default()
    }

    /// All dead letters.
    pub fn dead() -> Self {
        Self::all().state(State::Dead)
    }

    /// Only those of a consumer group.
    pub fn consumer(mut self, consumer: &Group) -> Self {
        self.consumer = Some(consumer.to_string());
        self
    }

    /// Only those of a topic.
    pub fn topic(mut self, topic: &Topic) -> Self {
        self.topic = Some(topic.to_string());
        self
    }

    /// Only those of a key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only those of a kind of event.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Only those with this message id.
    pub fn message_id(mut self, id: impl Into<String>) -> Self {
        self.message_id = Some(id.into());
        self
    }

    /// Only those whose failure has this fingerprint.
    pub fn fingerprint(mut self, fingerprint: impl Into<String>) -> Self {
        self.fingerprint = Some(fingerprint.into());
        self
    }

    /// Only those in a state.
    pub const fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Only those that are in the queue since this time or later.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(mainstay_messaging::envelope::micros_since_epoch(time));
        self
    }

    /// Only those that are in the queue since before this time.
    pub fn until(mut self, time: SystemTime) -> Self {
        self.until = Some(mainstay_messaging::envelope::micros_since_epoch(time));
        self
    }

    /// Whether `letter` is meant.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let at = mainstay_messaging::envelope::micros_since_epoch(letter.kept_at);
        is(&self.consumer, Some(letter.consumer.as_str()))
            && is(&self.topic, Some(letter.position.partition.topic.as_str()))
            && is(&self.key, letter.key.as_deref())
            && is(&self.kind, letter.kind.as_deref())
            && is(&self.message_id, Some(&letter.message_id))
            && is(&self.fingerprint, letter.fingerprint.as_deref())
            && self.state.is_none_or(|state| state == letter.state)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }
}

/// Dead letters whose failures have the same fingerprint.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct FailureGroup {
    /// What their failures have in common.
    pub fingerprint: String,
    /// How many there are, counted up to a limit.
    pub count: u64,
    /// Whether there are more than `count`.
    pub more: bool,
    /// When the oldest of them came into the queue.
    #[serde(serialize_with = "as_rfc3339")]
    pub first_seen: SystemTime,
    /// When the newest of them came into the queue.
    #[serde(serialize_with = "as_rfc3339")]
    pub last_seen: SystemTime,
    /// The newest of them, as an example.
    pub example: DeadLetter,
}

/// Counts, up to a limit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Dead letters.
    pub dead: u64,
    /// Held messages.
    pub held: u64,
    /// Blocked keys.
    pub blocked_keys: u64,
}

/// One page of a list.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask for the next page with; `None`: this is the last one.
    pub next: Option<i64>,
}

/// One message with everything known about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Details {
    /// The message without its body.
    pub letter: DeadLetter,
    /// The newest revision of headers and body.
    pub content: Content,
    /// Its failures, newest first, up to 100.
    pub failures: Vec<FailureRecord>,
    /// How many messages are held behind it in its key, counted up to 1,000.
    pub held: u64,
}

/// One failure of a message in the queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct FailureRecord {
    /// When.
    #[serde(serialize_with = "as_rfc3339")]
    pub at: SystemTime,
    /// The name of the [`FailureKind`](mainstay_inbox::failure::FailureKind).
    pub kind: String,
    /// How many attempts had failed.
    pub attempts: u32,
    /// The error and its sources.
    pub error: String,
    /// Which revision failed.
    pub revision: u32,
}

/// What an operator has done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its number; numbers rise.
    pub id: i64,
    /// When.
    #[serde(serialize_with = "as_rfc3339")]
    pub at: SystemTime,
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// What: `replay`, `dry_run`, `edit`, `discard`, `restore`, `start_job`, `cancel_job`.
    pub act: String,
    /// The message.
    pub letter: Option<DeadLetterId>,
    /// The job.
    pub job: Option<i64>,
    /// What else is to be known, such as the revision.
    pub detail: String,
}

/// An act as a store records it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AuditRecord<'a> {
    /// Who and why.
    pub signature: &'a Signature,
    /// What.
    pub act: &'a str,
    /// The message.
    pub letter: Option<DeadLetterId>,
    /// The job.
    pub job: Option<i64>,
    /// What else is to be known.
    pub detail: &'a str,
}

/// Who does something, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Signature {
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
}

impl Signature {
    /// `operator` acts for `reason`.
    #[must_use]
    pub fn new(operator: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            operator: operator.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), crate::Error> {
        let empty = |text: &str| text.trim().is_empty() || text.contains('\0');
        if empty(&self.operator) {
            return Err(crate::Error::Unsigned("a name"));
        }
        if empty(&self.reason) {
            return Err(crate::Error::Unsigned("a reason"));
        }
        Ok(())
    }
}

/// What a job does with each message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a replayer must act on both")]
pub enum BulkAct {
    /// Replays it.
    Replay,
    /// Discards it.
    Discard,
}

/// How far a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these three")]
pub enum JobState {
    /// A replayer works on it.
    Running,
    /// It has come to all of its messages.
    Finished,
    /// An operator ended it.
    Cancelled,
}

/// An act on many messages, which replayers do in the background.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// What it does.
    pub act: BulkAct,
    /// With which messages.
    pub query: Query,
    /// How many a second at most; `None`: as fast as possible.
    pub rate: Option<f64>,
    /// Who started it.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// How far it is.
    pub state: JobState,
    /// When it was started.
    #[serde(serialize_with = "as_rfc3339")]
    pub started_at: SystemTime,
    /// When it came to its last message, or was cancelled.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub finished_at: Option<SystemTime>,
    /// It has come to all messages up to this one.
    pub cursor: DeadLetterId,
    /// It goes no further than this one.
    pub last: DeadLetterId,
    /// How many messages it has asked to be replayed, or discarded.
    pub done: u64,
    /// Of those that it asked for: how many were replayed.
    pub replayed: u64,
    /// How many failed again, or were discarded since.
    pub failed: u64,
    /// How many are still to be tried.
    pub waiting: u64,
}

/// A job to add.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NewJob<'a> {
    /// What it does.
    pub act: BulkAct,
    /// With which messages.
    pub query: &'a Query,
    /// How many a second at most.
    pub rate: Option<f64>,
    /// Who and why.
    pub signature: &'a Signature,
}
