//! The ports of engines, as the witness sees them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_history::{Blocked, Place, Sent};
use mainstay_inbox::failure::{Failure, FailureOutcome, FailurePolicy};
use mainstay_messaging::{
    Delivery, Group, Message, Publisher,
    broker::{Content as Record, PublishOutcome},
};
use mainstay_outbox::{
    Error, MemoryOutbox,
    store::{
        Content, FencingToken, Fetched, Limit, Notifier, Outcome, RelayStore, RowRef, ShardLease,
        shard_of,
    },
};
use parking_lot::Mutex;

use super::{super::rows::ordered_key, Witness};
use crate::HostPublisher;

/// A port of an engine that the witness watches.
pub(in crate::shop) struct Watched<P> {
    port: P,
    witness: Arc<Witness>,
    read: Arc<Mutex<Read>>,
}

/// The rows that a relay has read. It reads once while it publishes and records what it read before.
#[derive(Default)]
struct Read {
    owner: String,
    last: Rows,
    before: Rows,
}

/// Rows, and the fencing tokens of their relay.
#[derive(Default)]
struct Rows {
    /// Shard, fencing token, and whether the row was recorded already.
    sends: HashMap<String, (u16, FencingToken, bool)>,
    messages: HashMap<RowRef, Message>,
}

impl Read {
    fn send(&self, id: &str) -> Option<&(u16, FencingToken, bool)> {
        (self.last.sends.get(id)).or_else(|| self.before.sends.get(id))
    }

    fn message(&self, row_ref: RowRef) -> Option<&Message> {
        let Self { last, before, .. } = self;
        (last.messages.get(&row_ref)).or_else(|| before.messages.get(&row_ref))
    }
}

impl<P> Watched<P> {
    pub(in crate::shop) fn new(port: P, witness: &Arc<Witness>) -> Self {
        Self {
            port,
            witness: Arc::clone(witness),
            read: Arc::default(),
        }
    }

    /// Another port of the same engine.
    pub(in crate::shop) fn beside<Q>(&self, port: Q) -> Watched<Q> {
        Watched {
            port,
            witness: Arc::clone(&self.witness),
            read: Arc::clone(&self.read),
        }
    }

    fn blocked(&self, at: Place, message: &Message) {
        let mut seen = self.witness.caught_up();
        let moment = seen.history.moment();
        seen.history.blocked.push(Blocked {
            at,
            key: ordered_key(message),
            id: message.id.to_string(),
            seen: moment,
            lasting: false,
        });
    }
}

#[async_trait]
impl RelayStore for Watched<MemoryOutbox> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        owner.clone_into(&mut self.read.lock().owner);
        self.port.lease(owner, lease).await
    }

    async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        // What was recorded by now, no read that begins now may find.
        let recorded = self.witness.seen.lock().recorded.len();
        let fetched = self.port.fetch(leases, limit, in_flight).await?;
        let seen = self.witness.seen.lock();
        let mut rows = Rows::default();
        for row in &fetched.rows {
            let Content::Message(message) = &row.content else {
                continue;
            };
            rows.messages.insert(row.row_ref, message.clone());
            let shard = shard_of(message, self.witness.shards);
            if let Some(lease) = leases.iter().find(|lease| lease.shard == shard) {
                let id = message.id.to_string();
                let again = seen.recorded.get(&id).is_some_and(|nth| *nth < recorded);
                rows.sends.insert(id, (shard, lease.fence, again));
            }
        }
        let mut read = self.read.lock();
        read.before = std::mem::replace(&mut read.last, rows);
        Ok(fetched)
    }

    async fn record(&self, leases: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        self.port.record(leases, outcome).await?;
        let read = self.read.lock();
        let refused = outcome.refused.iter();
        for message in refused.filter_map(|refusal| read.message(refusal.row_ref)) {
            self.blocked(Place::Outbox, message);
        }
        Ok(())
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.port.release(owner).await
    }

    fn notifier(&self) -> Option<&Notifier> {
        self.port.notifier()
    }
}

#[async_trait]
impl Publisher for Watched<HostPublisher> {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        {
            let read = self.read.lock();
            let mut seen = self.witness.seen.lock();
            for message in messages {
                let id = message.id.as_str();
                if let Some((shard, fence, recorded)) = read.send(id) {
                    seen.history.sends.push(Sent {
                        id: id.to_owned(),
                        shard: shard.to_string(),
                        fence: fence.as_i64(),
                        by: read.owner.clone(),
                        recorded: *recorded,
                    });
                }
            }
        }
        self.port.publish(messages).await
    }
}

#[async_trait]
impl<P: FailurePolicy> FailurePolicy for Watched<P> {
    async fn on_failure(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, mainstay_inbox::Error> {
        let outcome = self.port.on_failure(consumer, delivery, failure).await?;
        if let Record::Message(message) = &delivery.content
            && !self.witness.is_held(message)
        {
            self.blocked(Place::Consumer(consumer.to_string()), message);
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use mainstay_dlq::DeadLetterQueue;
    use mainstay_inbox::{MemoryInbox, failure::FailureKind};
    use mainstay_messaging::{Partition, Position};

    use super::*;
    use crate::{
        Sim,
        shop::{group, rows::Placed, topic},
    };

    fn delivery(offset: i64) -> Delivery {
        let placed = Placed {
            key: Some("a".to_owned()),
            number: offset,
            id: offset.to_string(),
            attempt: String::new(),
            note: String::new(),
        };
        let message = Message::builder().source("/shop").id(offset.to_string());
        let message = message.event(&placed).key("a").build().unwrap();
        let (topic, number) = (topic(), 0);
        Delivery {
            position: Position {
                partition: Partition { topic, number },
                offset,
            },
            content: Record::Message(message),
        }
    }

    /// A worker may know that a message failed before an earlier one of its key becomes a dead letter:
    /// they ran in one transaction, and the earlier one fails when it runs again.
    #[test]
    fn a_message_that_failed_and_is_held_behind_a_dead_letter_has_not_blocked_its_key() {
        let sim = Sim::new(0).unwrap();
        sim.run(async {
            let outbox = MemoryOutbox::builder(sim.database()).open().await.unwrap();
            let witness = Witness::of(&sim, &outbox, 1);
            let inbox = MemoryInbox::new(sim.database());
            let queue = DeadLetterQueue::builder(inbox).open().await.unwrap();
            let policy = Watched::new(queue, &witness);
            let failure = Failure::new(FailureKind::Panicked, 1, "planned");
            for failed in [delivery(0), delivery(1)] {
                let asked = policy.on_failure(&group(), &failed, &failure).await;
                assert!(matches!(asked, Ok(FailureOutcome::DeadLettered)));
            }
            let seen = witness.caught_up();
            let kept = seen.history.kept.iter().map(|kept| &*kept.id);
            assert_eq!(kept.collect::<Vec<_>>(), ["0", "1"]);
            let blocked = seen.history.blocked.iter().map(|blocked| &*blocked.id);
            assert_eq!(blocked.collect::<Vec<_>>(), ["0"]);
        });
    }
}
