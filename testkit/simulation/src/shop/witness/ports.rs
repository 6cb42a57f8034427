//! The ports of engines, seen.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_inbox::{Failure, Parked, Parking, StopKey};
use mainstay_messaging::{Content as Record, Delivery, Group, Message, Publication, Publisher};
use mainstay_outbox::{
    Content, Doorbell, Error, Fetched, Hold, Limit, Outcome, Place, RelayStore,
    memory::MemoryOutbox,
};
use mainstay_testkit::history::{Place as Where, Sent, Stop};

use super::{super::rows::ordered_key, Witness};
use crate::HostPublisher;

/// A port of an engine, watched by the witness.
pub(in crate::shop) struct Watched<P> {
    port: P,
    witness: Arc<Witness>,
    read: Arc<Mutex<Read>>,
}

/// What a relay has read, and under which fence.
#[derive(Default)]
struct Read {
    owner: String,
    /// Shard, fence, and whether it was recorded already.
    sends: HashMap<String, (u16, i64, bool)>,
    places: HashMap<Place, Message>,
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

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self, at: Where, message: &Message) {
        let mut seen = self.witness.caught_up();
        let moment = seen.history.moment();
        seen.history.stops.push(Stop {
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
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<Hold>, Error> {
        owner.clone_into(&mut self.read().owner);
        self.port.lease(owner, lease).await
    }

    async fn fetch(&self, holds: &[Hold], limit: Limit) -> Result<Fetched, Error> {
        // What was recorded by now, no read that begins now may find.
        let recorded = self.witness.seen().recorded.len();
        let fetched = self.port.fetch(holds, limit).await?;
        let seen = self.witness.seen();
        let mut read = self.read();
        read.sends.clear();
        read.places.clear();
        for row in &fetched.rows {
            let Content::Message(message) = &row.content else {
                continue;
            };
            read.places.insert(row.place, message.clone());
            let shard = mainstay_outbox::shard_of(message, self.witness.shards);
            if let Some(hold) = holds.iter().find(|hold| hold.shard == shard) {
                let id = message.id.to_string();
                let again = seen.recorded.get(&id).is_some_and(|nth| *nth < recorded);
                read.sends.insert(id, (shard, hold.fence, again));
            }
        }
        Ok(fetched)
    }

    async fn record(&self, holds: &[Hold], outcome: &Outcome) -> Result<(), Error> {
        self.port.record(holds, outcome).await?;
        let read = self.read();
        let stopped = outcome.stopped.iter();
        for message in stopped.filter_map(|stop| read.places.get(&stop.place)) {
            self.stopped(Where::Outbox, message);
        }
        Ok(())
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.port.release(owner).await
    }

    fn doorbell(&self) -> Option<&Doorbell> {
        self.port.doorbell()
    }
}

#[async_trait]
impl Publisher for Watched<HostPublisher> {
    async fn publish(&self, messages: &[Message]) -> Vec<Publication> {
        {
            let read = self.read();
            let mut seen = self.witness.seen();
            for message in messages {
                let id = message.id.as_str();
                if let Some((shard, fence, recorded)) = read.sends.get(id) {
                    seen.history.sends.push(Sent {
                        id: id.to_owned(),
                        shard: shard.to_string(),
                        fence: *fence,
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
impl Parking for Watched<StopKey> {
    async fn park(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<Parked, mainstay_inbox::Error> {
        let parked = self.port.park(consumer, delivery, failure).await?;
        if let Record::Message(message) = &delivery.content {
            self.stopped(Where::Consumer(consumer.to_string()), message);
        }
        Ok(parked)
    }
}
