//! The role that decides what becomes of a message that cannot be handled.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_messaging::{Delivery, Group};

use crate::Error;

/// Decides what becomes of a message that cannot be handled, and when its key may go on.
///
/// The worker calls it when the attempts are exhausted or the failure is permanent. While it runs, and after
/// [`FailureOutcome::KeyBlocked`], nothing more of the message's key starts.
#[async_trait]
pub trait FailurePolicy: Send + Sync + 'static {
    /// Takes over the message, or says that it stays where it is.
    ///
    /// # Behaviour
    /// - [`FailureOutcome::Kept`] only if the message is kept durably: its offset is committed after that.
    /// - May be called again for the same message: after a crash, a change of owner, or a failed attempt later.
    ///
    /// # Errors
    /// Any: the message is not acknowledged, its key waits, and parking is tried again with backoff.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the message is kept; the call is repeated.
    async fn park(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, Error>;
}

/// Where a message that cannot be handled is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a key that was stopped may not go on"]
#[expect(clippy::exhaustive_enums, reason = "a worker must act on each of them")]
pub enum FailureOutcome {
    /// It stays in the broker's log, uncommitted, and its key is stopped.
    KeyBlocked {
        /// When to try the message again; none = not before the partition is assigned anew.
        retry_after: Option<Duration>,
    },
    /// It is kept elsewhere, together with its mark, and its key may go on: what follows it finds its own answer in
    /// admission.
    Kept,
}

/// Why a message cannot be handled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What kind of failure ended it.
    pub kind: FailureKind,
    /// How often a handler was tried.
    pub attempts: u32,
    /// The last error, with its sources.
    pub error: Arc<dyn StdError + Send + Sync>,
}

/// What kind of failure it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FailureKind {
    /// The record is no message, the version is unknown, or the bytes do not decode (a panic while decoding included).
    Unreadable,
    /// The handler said that trying again will not help.
    Permanent,
    /// The handler failed as often as the worker tries.
    Exhausted,
    /// As [`Exhausted`](Self::Exhausted), and the last attempt panicked.
    Panicked,
    /// As [`Exhausted`](Self::Exhausted), and the last attempt did not end in time.
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
}

/// Stores nothing: the message stays in the broker's log with its offset uncommitted, and its key is stopped, loudly.
///
/// A failure that may heal is tried again after a while; another one waits until the partition is assigned anew, that is, for
/// a restart with a better build. Other keys flow, until what lies finished above the stopped message reaches the worker's
/// bound: then the partition pauses.
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
    async fn park(
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
