//! Appending, with faults.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Error, Message,
    broker::{PrefixRule, PublishOutcome, Publisher},
    memory::{Inner, faults::Verdict, log::Log},
};

/// Appends to the log of a [`Broker`](super::Broker).
#[derive(Clone, Debug)]
pub struct LogPublisher {
    inner: Arc<Inner>,
}

impl LogPublisher {
    pub(super) const fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    fn append(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let mut state = self.inner.state();
        let mut rule = PrefixRule::new();
        messages
            .iter()
            .map(|message| rule.apply(message, || self.append_one(&mut state.log, message)))
            .collect()
    }

    fn append_one(&self, log: &mut Log, message: &Message) -> PublishOutcome {
        let (size, limit) = (message.size(), self.inner.settings.max_message_size);
        if size > limit {
            return PublishOutcome::Refused(Error::TooLarge { size, limit });
        }
        if !log.knows(&message.topic) {
            return PublishOutcome::Refused(Error::UnknownTopic(message.topic.clone()));
        }
        let verdict = self.inner.faults.verdict(message);
        if let Verdict::Store | Verdict::StoreAndLoseAnswer(_) = verdict
            && let Err(error) = log.append(message)
        {
            return PublishOutcome::Refused(error);
        }
        match verdict {
            Verdict::Store => PublishOutcome::Acknowledged,
            Verdict::Refuse(error) => PublishOutcome::Refused(error),
            Verdict::StoreAndLoseAnswer(error) | Verdict::LoseMessage(error) => {
                PublishOutcome::Unknown(error)
            }
        }
    }
}

#[async_trait]
impl Publisher for LogPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        // A caller may be dropped on the way to the log or on the way back, as with a real broker.
        tokio::task::yield_now().await;
        if self.inner.faults.reach().is_err() {
            return messages
                .iter()
                .map(|_| PublishOutcome::Unknown(super::faults::outage()))
                .collect();
        }
        let outcomes = self.append(messages);
        self.inner.notify();
        tokio::task::yield_now().await;
        outcomes
    }
}
