//! How an attempt ended.

use std::{any::Any, error::Error as StdError, sync::Arc, time::Duration};

use crate::FailureKind;

/// How the attempt on a batch ended. Indices are places in the batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The effects of all messages are made and committed, `handled` of them by this transaction.
    Done { handled: usize },
    /// No transaction was opened: these cannot be read, and have to be looked at one by one.
    Suspects(Vec<usize>),
    /// Rolled back, and it is known who did it.
    Failed(Fault),
    /// Rolled back because of one of these.
    Unclear { among: Vec<usize>, error: Reason },
    /// Rolled back, or its outcome is unknown; nothing is wrong with the messages.
    Interrupted(Interruption),
}

/// The database, not a message, ended a transaction.
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
    /// Some message's mark could not be had.
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
    Permanent,
    Retryable,
    Panicked,
    Late,
}

impl Outcome {
    pub(super) fn unclear(among: Vec<usize>, cause: Cause, error: Reason) -> Self {
        match *among {
            [culprit] => Self::Failed(Fault::new(culprit, cause, error)),
            _ => Self::Unclear { among, error },
        }
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
}

impl Cause {
    /// Whether it may be tried again.
    pub(super) const fn may_heal(self) -> bool {
        self.final_kind().may_heal()
    }

    /// Whether a handler ran.
    pub(super) const fn is_attempt(self) -> bool {
        !matches!(self, Self::Unreadable)
    }

    /// What it is called once no more attempts are made.
    pub(super) const fn final_kind(self) -> FailureKind {
        match self {
            Self::Unreadable => FailureKind::Unreadable,
            Self::Permanent => FailureKind::Permanent,
            Self::Retryable => FailureKind::Exhausted,
            Self::Panicked => FailureKind::Panicked,
            Self::Late => FailureKind::DeadlineExceeded,
        }
    }
}

/// A record that is no message of ours.
#[derive(thiserror::Error, Debug)]
#[error("the record is no message: {0}")]
pub(super) struct NoMessage(pub(super) String);

/// Kinds without handler are acknowledged as they come in, so this is never seen.
#[derive(thiserror::Error, Debug)]
#[error("no handler for this kind")]
pub(super) struct NoHandler;

/// A handler that did not end in time.
#[derive(thiserror::Error, Debug)]
#[error("the handler did not end within {0:?}")]
pub(super) struct Late(pub(super) Duration);

/// A handler that panicked.
#[derive(thiserror::Error, Debug)]
#[error("the handler panicked: {0}")]
pub(super) struct Panicked(String);

/// An upcaster or a `Deserialize` that panicked.
#[derive(thiserror::Error, Debug)]
#[error("decoding panicked: {0}")]
pub(super) struct DecodingPanicked(String);

impl From<&(dyn Any + Send)> for Panicked {
    fn from(payload: &(dyn Any + Send)) -> Self {
        Self(panic_text(payload))
    }
}

impl From<&(dyn Any + Send)> for DecodingPanicked {
    fn from(payload: &(dyn Any + Send)) -> Self {
        Self(panic_text(payload))
    }
}

/// What was said at a panic.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "with something other than a text".to_owned())
}
