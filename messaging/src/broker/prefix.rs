//! The order that a publisher promises.

use std::collections::HashSet;

use crate::{Error, Key, Message, Topic, broker::PublishOutcome};

/// Keeps the promise of [`Publisher::publish`](crate::Publisher::publish): per (topic, key), the
/// acknowledged messages of a call are a prefix of those given.
///
/// Ask it for each message in order. It remembers the keys of messages that were not acknowledged,
/// and skips later messages of those keys. Use a new one for each call of `publish`.
///
/// ```
/// use mainstay_messaging::{Error, Message, broker::{PrefixRule, PublishOutcome}};
///
/// fn append_one(message: &Message) -> PublishOutcome {
///     match message.size() {
///         size @ 1_000.. => PublishOutcome::Refused(Error::TooLarge { size, limit: 1_000 }),
///         _ => PublishOutcome::Acknowledged, // it is in the log
///     }
/// }
///
/// fn append(messages: &[Message]) -> Vec<PublishOutcome> {
///     let mut rule = PrefixRule::new();
///     messages.iter().map(|message| rule.apply(message, || append_one(message))).collect()
/// }
/// # let _ = append;
/// ```
#[derive(Default, Debug)]
pub struct PrefixRule<'m> {
    stopped: HashSet<(&'m Topic, &'m Key)>,
}

impl<'m> PrefixRule<'m> {
    /// No key is stopped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes `message` with `publish`, unless its key is stopped; stops its key unless it is
    /// acknowledged.
    pub fn apply(
        &mut self,
        message: &'m Message,
        publish: impl FnOnce() -> PublishOutcome,
    ) -> PublishOutcome {
        if self.is_stopped(message) {
            return PublishOutcome::Unknown(Error::NotTried);
        }
        let outcome = publish();
        if !outcome.is_acknowledged() {
            self.stop(message);
        }
        outcome
    }

    /// Whether the message must not be tried: an earlier one of its key was not acknowledged.
    #[must_use]
    pub fn is_stopped(&self, message: &Message) -> bool {
        !self.stopped.is_empty()
            && message
                .key
                .as_ref()
                .is_some_and(|key| self.stopped.contains(&(&message.topic, key)))
    }

    /// Stops the key of a message that was not acknowledged. A message without a key stops none.
    pub fn stop(&mut self, message: &'m Message) {
        self.stopped
            .extend(message.key.as_ref().map(|key| (&message.topic, key)));
    }
}
