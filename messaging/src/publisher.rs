//! The role that appends messages to a broker.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Error, Message};

/// Appends messages to a broker's log.
///
/// Roles are implemented for `Arc` and `Box`: an `Arc<dyn Publisher>` is a publisher.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes `messages` and returns the outcome of each, in the same order.
    ///
    /// # Behaviour
    /// - There is exactly one [`PublishOutcome`] per message.
    /// - Per (topic, key), the acknowledged messages form a **prefix** of those given, in their
    ///   order. After a message that is refused or unknown, the broker stores no later one of its
    ///   key. [`PrefixRule`](crate::broker::PrefixRule) helps.
    /// - An acknowledged message is as durable as the broker documents.
    ///
    /// # Errors
    /// None for the whole call: each outcome carries its own. Publish a message again, with the
    /// same id, if its outcome is [`Unknown`](PublishOutcome::Unknown): consumers recognise
    /// duplicates by id.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outcome of every message unknown.
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome>;
}

#[async_trait]
impl<P: Publisher + ?Sized> Publisher for Arc<P> {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        (**self).publish(messages).await
    }
}

#[async_trait]
impl<P: Publisher + ?Sized> Publisher for Box<P> {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        (**self).publish(messages).await
    }
}

/// The outcome of publishing one message.
#[derive(Debug)]
#[must_use = "a message that was not acknowledged must be published again or reported"]
#[expect(
    clippy::exhaustive_enums,
    reason = "a relay must decide on every outcome"
)]
pub enum PublishOutcome {
    /// It is in the log.
    Acknowledged,
    /// It is not in the log, and trying again does not help: too large, unknown topic, not
    /// authorised.
    Refused(Error),
    /// It may or may not be in the log: the broker was away or its answer was lost; or it was not
    /// tried, because an earlier message of its key was not acknowledged. Publish it again.
    Unknown(Error),
}

impl PublishOutcome {
    /// Whether the message is in the log.
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Acknowledged)
    }
}
