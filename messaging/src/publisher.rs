//! The role that appends messages to a broker.

use async_trait::async_trait;

use crate::{Error, Message};

/// Appends messages to a broker's log.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes `messages` and says for each of them, in the same order, what became of it.
    ///
    /// # Behaviour
    /// - The answer has exactly one [`PublishOutcome`] per message.
    /// - Per (topic, key), the acknowledged messages form a **prefix** of those given, in their order;
    ///   nothing is stored behind one that was refused or is unknown.
    /// - A message that was acknowledged is durable to the degree the broker documents.
    /// - Sending an unknown message again, with the same id, is right: consumers tell duplicates.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outcome of every message unknown.
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome>;
}

/// What became of one published message.
#[derive(Debug)]
#[must_use = "a message that was not acknowledged must not be forgotten"]
#[expect(
    clippy::exhaustive_enums,
    reason = "a relay must decide on every outcome"
)]
pub enum PublishOutcome {
    /// It is in the log.
    Acknowledged,
    /// It is not in the log and never will be as it is (too large, unknown topic, not authorised).
    Refused(Error),
    /// It may or may not be in the log (broker away, lost answer), or was not tried because one before
    /// it was not acknowledged. Publish it again.
    Unknown(Error),
}

impl PublishOutcome {
    /// Whether the message is in the log.
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Acknowledged)
    }
}
