//! Appending, and what faults make of it.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;

use crate::{
    Error, Key, Message, Publication, Publisher, Topic,
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

    fn append(&self, messages: &[Message]) -> Vec<Publication> {
        let mut state = self.inner.state();
        let mut stopped: HashSet<(&Topic, &Key)> = HashSet::new();
        messages
            .iter()
            .map(|message| {
                let key = message.key.as_ref().map(|key| (&message.topic, key));
                if key.is_some_and(|key| stopped.contains(&key)) {
                    return Publication::Unknown(Error::NotTried);
                }
                let answer = self.append_one(&mut state.log, message);
                if !answer.is_acknowledged() {
                    stopped.extend(key);
                }
                answer
            })
            .collect()
    }

    fn append_one(&self, log: &mut Log, message: &Message) -> Publication {
        let (size, limit) = (message.size(), self.inner.options.max_message_size);
        if size > limit {
            return Publication::Refused(Error::TooLarge { size, limit });
        }
        if !log.knows(&message.topic) {
            return Publication::Refused(Error::UnknownTopic(message.topic.clone()));
        }
        let verdict = self.inner.faults.verdict(message);
        if let Verdict::Store | Verdict::StoreAndLoseAnswer(_) = verdict
            && let Err(error) = log.append(message)
        {
            return Publication::Refused(error);
        }
        match verdict {
            Verdict::Store => Publication::Acknowledged,
            Verdict::Refuse(error) => Publication::Refused(error),
            Verdict::StoreAndLoseAnswer(error) | Verdict::LoseMessage(error) => {
                Publication::Unknown(error)
            }
        }
    }
}

#[async_trait]
impl Publisher for LogPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<Publication> {
        // A caller may be dropped on the way to the log and on the way back from it, as with a real broker.
        tokio::task::yield_now().await;
        if self.inner.faults.reach().is_err() {
            return messages
                .iter()
                .map(|_| Publication::Unknown(super::faults::outage()))
                .collect();
        }
        let answers = self.append(messages);
        self.inner.ring();
        tokio::task::yield_now().await;
        answers
    }
}
