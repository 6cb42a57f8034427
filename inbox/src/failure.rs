//! What happens to a message that cannot be handled.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_messaging::{Delivery, Group};

use crate::Error;

/// Decides what happens to a message that cannot be handled, and when its key may go on.
///
/// The worker asks it when all attempts have failed or the failure is permanent. Until the answer,
/// and after [`FailureOutcome::KeyBlocked`], it starts nothing more of the message's key.
#[async_trait]
pub trait FailurePolicy: Send + Sync + 'static {
    /// Takes the message over, or leaves it in the broker's log.
    ///
    /// # Behaviour
    /// - Answers [`FailureOutcome::DeadLettered`] only if the message is stored durably, together
    ///   with its processed record: the worker commits its offset afterwards.
    /// - May be called again for the same message: after a crash, a change of owner, or a later
    ///   failed attempt.
    ///
    /// # Errors
    /// Any. The message stays unacknowledged, its key waits, and the worker asks again after a
    /// backoff.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the message was stored; the call is repeated.
    async fn on_failure(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, Error>;
}

#[async_trait]
impl<P: FailurePolicy + ?Sized> FailurePolicy for Arc<P> {
    async fn on_failure(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, Error> {
        (**self).on_failure(consumer, delivery, failure).await
    }
}

/// Where a message that cannot be handled is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the key of a blocked message must not go on"]
#[expect(clippy::exhaustive_enums, reason = "a worker must act on each of them")]
pub enum FailureOutcome {
    /// It stays in the broker's log, uncommitted, and its key is blocked.
    KeyBlocked {
        /// When to try the message again; `None`: not before the partition is assigned again.
        retry_after: Option<Duration>,
    },
    /// It is stored as a dead letter, together with its processed record, and its key goes on:
    /// admission answers [`Held`](crate::Admission::Held) for messages that must wait behind it.
    DeadLettered,
}

/// Why a message cannot be handled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What kind of failure it was.
    pub kind: FailureKind,
    /// How many attempts of a handler have failed.
    pub attempts: u32,
    /// The last error, with its sources.
    pub error: Arc<dyn StdError + Send + Sync>,
}

impl Failure {
    /// A failure, for tests of a [`FailurePolicy`] and for engines that ask one.
    #[must_use]
    pub fn new(
        kind: FailureKind,
        attempts: u32,
        error: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            attempts,
            error: Arc::from(error.into()),
        }
    }
}

/// What kind of failure it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FailureKind {
    /// The record is not a message, its version is unknown, or its bytes do not decode. A panic
    /// while decoding counts as this.
    Unreadable,
    /// No handler is registered for the message's kind, and the worker
    /// [blocks](crate::Worker::block_unknown_kinds) such messages.
    UnknownKind,
    /// The handler said that trying again will not help.
    Permanent,
    /// All attempts of the handler have failed.
    Exhausted,
    /// As [`Exhausted`](Self::Exhausted), and the last attempt panicked.
    Panicked,
    /// As [`Exhausted`](Self::Exhausted), and the last attempt exceeded its deadline.
    DeadlineExceeded,
}

impl FailureKind {
    /// Whether another attempt of the same build on the same message might succeed.
    #[must_use]
    pub const fn may_heal(self) -> bool {
        matches!(
            self,
            Self::Exhausted | Self::Panicked | Self::DeadlineExceeded
        )
    }

    /// A stable name for tables and metrics: `unreadable`, `unknown_kind`, `permanent`, `exhausted`,
    /// `panicked`, `deadline_exceeded`. Names never change.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::UnknownKind => "unknown_kind",
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::Panicked => "panicked",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The default [`FailurePolicy`]: stores nothing and blocks the message's key.
///
/// The message stays in the broker's log with its offset uncommitted. The worker logs an error and
/// lists the key in [`Status::blocked_keys`](crate::Status::blocked_keys). It tries the message again
/// after [`retry_after`](Self::retry_after) if the failure may heal. Otherwise it tries the message
/// when the partition is assigned again, such as after a restart with a better build. Other keys go
/// on until the partition's in-flight window is full.
#[derive(Clone, Copy, Debug)]
pub struct BlockKey {
    retry_after: Duration,
}

impl BlockKey {
    /// Tries again after 30 seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            retry_after: Duration::from_secs(30),
        }
    }

    /// Sets how long a blocked key waits before its message is tried again.
    #[must_use]
    pub const fn retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = retry_after;
        self
    }
}

impl Default for BlockKey {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl FailurePolicy for BlockKey {
    async fn on_failure(
        &self,
        _: &Group,
        _: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, Error> {
        Ok(FailureOutcome::KeyBlocked {
            retry_after: failure.kind.may_heal().then_some(self.retry_after),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They are stored in tables and counted by metrics.
    #[test]
    fn names_of_failure_kinds_are_stable() {
        let kinds = [
            FailureKind::Unreadable,
            FailureKind::UnknownKind,
            FailureKind::Permanent,
            FailureKind::Exhausted,
            FailureKind::Panicked,
            FailureKind::DeadlineExceeded,
        ];
        assert_eq!(
            kinds.map(FailureKind::name),
            [
                "unreadable",
                "unknown_kind",
                "permanent",
                "exhausted",
                "panicked",
                "deadline_exceeded"
            ]
        );
    }
}
