//! The rows.

use std::time::SystemTime;

use mainstay_database::memory::Record;
use mainstay_messaging::broker::Content;

use crate::{
    desk::{AuditEntry, FailureRecord, Job},
    letter::{BlockedKey, DeadLetter, DeadLetterId},
};

/// A message in the queue.
#[derive(Clone, Debug)]
pub(super) struct LetterRow(pub(super) DeadLetter);

impl Record for LetterRow {
    const TABLE: &'static str = "dlq_messages";
    type Key = DeadLetterId;

    fn key(&self) -> DeadLetterId {
        self.0.id
    }
}

/// One revision of its body.
#[derive(Clone, Debug)]
pub(super) struct BodyRow {
    pub(super) letter: DeadLetterId,
    pub(super) revision: u32,
    pub(super) content: Content,
}

impl Record for BodyRow {
    const TABLE: &'static str = "dlq_bodies";
    type Key = (DeadLetterId, u32);

    fn key(&self) -> Self::Key {
        (self.letter, self.revision)
    }
}

/// A key whose messages wait.
#[derive(Clone, Debug)]
pub(super) struct BlockedRow {
    pub(super) key: BlockedKey,
    pub(super) is_draining: bool,
}

impl Record for BlockedRow {
    const TABLE: &'static str = "dlq_blocked_keys";
    type Key = BlockedKey;

    fn key(&self) -> BlockedKey {
        self.key.clone()
    }
}

/// A failure of a message.
#[derive(Clone, Debug)]
pub(super) struct FailureRow {
    pub(super) seq: i64,
    pub(super) letter: DeadLetterId,
    pub(super) failure: FailureRecord,
}

impl Record for FailureRow {
    const TABLE: &'static str = "dlq_failures";
    type Key = i64;

    fn key(&self) -> i64 {
        self.seq
    }
}

/// An act.
#[derive(Clone, Debug)]
pub(super) struct AuditRow(pub(super) AuditEntry);

impl Record for AuditRow {
    const TABLE: &'static str = "dlq_audit";
    type Key = i64;

    fn key(&self) -> i64 {
        self.0.id
    }
}

/// A job.
#[derive(Clone, Debug)]
pub(super) struct JobRow(pub(super) Job);

impl Record for JobRow {
    const TABLE: &'static str = "dlq_jobs";
    type Key = i64;

    fn key(&self) -> i64 {
        self.0.id
    }
}

/// Whether a time has come.
pub(super) fn has_come(time: Option<SystemTime>, now: SystemTime) -> bool {
    time.is_some_and(|time| time <= now)
}
