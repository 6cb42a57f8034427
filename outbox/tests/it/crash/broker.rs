//! A broker that every crash spares.

use std::sync::Mutex;

use async_trait::async_trait;
use mainstay_messaging::{Message, Publisher, broker::PublishOutcome};
use mainstay_outbox::conformance::Tape;
use mainstay_testkit::{
    History,
    history::{self, Blocked, Moment, Place, Published},
};

/// A broker that outlives every crash. What it refuses it takes after so many refusals.
#[derive(Default)]
pub(super) struct Broker {
    pub(super) tape: Tape,
    refusals: usize,
    blocked: Mutex<Vec<Blocked>>,
}

impl Broker {
    /// One that refuses the message with this id so often.
    pub(super) fn refusing(id: &str, refusals: usize) -> Self {
        let broker = Self {
            refusals,
            ..Self::default()
        };
        broker.tape.refuse(id);
        broker
    }

    /// What it has seen of `committed`.
    pub(super) fn history(&self, committed: &[Message]) -> History {
        let published = self.tape.stored().into_iter().zip(0..);
        History {
            committed: committed.iter().map(entry).collect(),
            published: published
                .map(|(message, offset)| Published {
                    topic: message.topic.to_string(),
                    partition: 0,
                    offset,
                    entry: entry(&message),
                })
                .collect(),
            blocked: self.blocked.lock().unwrap().clone(),
            ..History::default()
        }
    }
}

fn entry(message: &Message) -> history::Entry {
    let payload = message.payload.as_deref().unwrap();
    history::Entry {
        key: message.key.as_ref().map(ToString::to_string),
        number: std::str::from_utf8(payload).unwrap().parse().unwrap(),
        id: message.id.to_string(),
        attempt: String::new(),
    }
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let answers = self.tape.publish(messages).await;
        for (message, answer) in messages.iter().zip(&answers) {
            if let PublishOutcome::Refused(_) = answer {
                self.blocked.lock().unwrap().push(Blocked {
                    at: Place::Outbox,
                    key: message.key.as_ref().map(ToString::to_string),
                    id: message.id.to_string(),
                    seen: Moment {
                        published: self.tape.ids().len(),
                        ..Moment::default()
                    },
                    lasting: false,
                });
            }
        }
        if self.tape.refusals() >= self.refusals {
            self.tape.accept();
        }
        answers
    }
}
