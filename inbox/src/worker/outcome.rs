//! How an attempt ended.

use std::{
    collections::BTreeSet, error::Error as StdError, ops::AddAssign, sync::Arc, time::Duration,
};

use crate::{failure::FailureKind, handlers::NoHandler};

/// What one attempt on a batch showed. Indices are places in the batch.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) ended: Ended,
    /// Messages that failed and were set apart; their effects are undone however it ended.
    pub(super) faults: Vec<Fault>,
}

/// How the attempt on a batch ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The transaction is committed, and all messages but those that it left are finished.
    Committed { done: Done, left: BTreeSet<usize> },
    /// No transaction was opened: these cannot be read, and have to run alone.
    Suspects(Vec<usize>),
    /// Rolled back. The next transaction sets savepoints, and finds the culprit unless it is known.
    RolledBack,
    /// Rolled back because of this message, from which no savepoint saves the others.
    Failed(Fault),
    /// Rolled back because of one of these, in a way that no savepoint shows.
    Unclear { among: Vec<usize>, error: Reason },
    /// Rolled back, or the outcome of the commit is unknown; nothing is wrong with the messages.
    Interrupted(Interruption),
}

/// Why messages that ran together did not succeed.
#[derive(Debug)]
pub(super) enum Broken {
    /// Because of this message.
    By(Fault),
    /// Because of one of these.
    Among(Vec<usize>, Reason),
}

/// How many messages of a batch ended how; the others are duplicates.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Done {
    /// A handler has made their effects.
    pub(super) handled: u64,
    /// Held behind a dead letter of their key.
    pub(super) held: u64,
    /// Stored as dead letters.
    pub(super) dead_lettered: u64,
}

/// A transaction that ended without any message being at fault.
#[derive(Debug)]
pub(super) struct Interruption {
    pub(super) stage: Stage,
    pub(super) error: Reason,
}

/// How far a transaction had come.
#[derive(Debug)]
pub(super) enum Stage {
    /// It was not opened.
    Begin,
    /// Admission failed.
    Admission,
    /// The handler of these ran, by their places in the batch.
    Handling(Vec<usize>),
    Commit,
}

/// A message that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) culprit: usize,
    pub(super) cause: Cause,
    pub(super) error: Reason,
}

pub(super) type Reason = Arc<dyn StdError + Send + Sync>;

/// Why a message failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    Unreadable,
    UnknownKind,
    Permanent,
    Retryable,
    Panicked,
    DeadlineExceeded,
}

impl Broken {
    pub(super) fn among(among: Vec<usize>, cause: Cause, error: Reason) -> Self {
        match *among {
            [culprit] => Self::By(Fault::new(culprit, cause, error)),
            _ => Self::Among(among, error),
        }
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::By(fault) => Self::Failed(fault),
            Broken::Among(among, error) => Self::Unclear { among, error },
        }
    }
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.handled += other.handled;
        self.held += other.held;
        self.dead_lettered += other.dead_lettered;
    }
}

impl Interruption {
    pub(super) const fn new(stage: Stage, error: Reason) -> Self {
        Self { stage, error }
    }
}

impl Fault {
    pub(super) fn new(culprit: usize, cause: Cause, error: Reason) -> Self {
        Self {
            culprit,
            cause,
            error,
        }
    }

    /// A message that no handler got.
    pub(super) fn unread(culprit: usize, error: Reason) -> Self {
        let cause = if error.is::<NoHandler>() {
            Cause::UnknownKind
        } else {
            Cause::Unreadable
        };
        Self::new(culprit, cause, error)
    }
}

impl Cause {
    /// Whether the message may be tried again.
    pub(super) const fn may_heal(self) -> bool {
        self.final_kind().may_heal()
    }

    /// Whether a handler ran.
    pub(super) const fn is_attempt(self) -> bool {
        !matches!(self, Self::Unreadable | Self::UnknownKind)
    }

    /// The kind of failure once no more attempts are made.
    pub(super) const fn final_kind(self) -> FailureKind {
        match self {
            Self::Unreadable => FailureKind::Unreadable,
            Self::UnknownKind => FailureKind::UnknownKind,
            Self::Permanent => FailureKind::Permanent,
            Self::Retryable => FailureKind::Exhausted,
            Self::Panicked => FailureKind::Panicked,
            Self::DeadlineExceeded => FailureKind::DeadlineExceeded,
        }
    }
}

/// A handler that did not end in time.
#[derive(thiserror::Error, Debug)]
#[error("the handler did not end within {0:?}; make it faster, or raise handler_deadline")]
pub(super) struct Late(pub(super) Duration);
