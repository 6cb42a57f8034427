//! The ports of engines, seen.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_inbox::{Failure, Parked, Parking, StopKey};
use mainstay_messaging::{Delivery, Group, Message, Publication, Publisher};
use mainstay_outbox::{
    Content, Doorbell, Error, Fetched, Hold, Limit, Outcome, Place, RelayStore,
    memory::MemoryOutbox,
};
use mainstay_testkit::history::{Place as Where, Sent, Stop};

use super::{super::rows::ordered_key, Witness};
use crate::HostPublisher;

/// What a relay has read, and under which fence.
#[derive(Default, Debug)]
struct Read {
    owner: String,
    /// Shard, fence, and whether it was recorded already.
    sends: HashMap<String, (u16, i64, bool)>,
    places: HashMap<Place, Message>,
}

/// An outbox as a relay works on it.
#[derive(Debug)]
pub(in crate::shop) struct WatchedStore {
    store: MemoryOutbox,
    witness: Arc<Witness>,
    shards: u16,
    read: Arc<Mutex<Read>>,
}

/// The publisher of the same relay.
#[derive(Debug)]
pub(in crate::shop) struct WatchedPublisher {
    publisher: HostPublisher,
    witness: Arc<Witness>,
    read: Arc<Mutex<Read>>,
}

impl WatchedStore {
    pub(in crate::shop) fn new(
        store: MemoryOutbox,
        shards: u16,
        publisher: HostPublisher,
        witness: &Arc<Witness>,
    ) -> (Self, WatchedPublisher) {
        let read = Arc::<Mutex<Read>>::default();
        let store = Self {
            store,
            witness: Arc::clone(witness),
            shards,
            read: Arc::clone(&read),
        };
        let publisher = WatchedPublisher {
            publisher,
            witness: Arc::clone(witness),
            read,
        };
        (store, publisher)
    }
}

fn lock(read: &Mutex<Read>) -> MutexGuard<'_, Read> {
    read.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl RelayStore for WatchedStore {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<Hold>, Error> {
        owner.clone_into(&mut lock(&self.read).owner);
        self.store.lease(owner, lease).await
    }

    async fn fetch(&self, holds: &[Hold], limit: Limit) -> Result<Fetched, Error> {
        // What was recorded by now, no read that begins now may find.
        let recorded = self.witness.seen().recorded.len();
        let fetched = self.store.fetch(holds, limit).await?;
        let seen = self.witness.seen();
        let mut read = lock(&self.read);
        read.sends.clear();
        read.places.clear();
        for row in &fetched.rows {
            let Content::Message(message) = &row.content else {
                continue;
            };
            read.places.insert(row.place, message.clone());
            let shard = mainstay_outbox::shard_of(message, self.shards);
            if let Some(hold) = holds.iter().find(|hold| hold.shard == shard) {
                let id = message.id.to_string();
                let again = seen.recorded.get(&id).is_some_and(|nth| *nth < recorded);
                read.sends.insert(id, (shard, hold.fence, again));
            }
        }
        Ok(fetched)
    }

    async fn record(&self, holds: &[Hold], outcome: &Outcome) -> Result<(), Error> {
        self.store.record(holds, outcome).await?;
        let read = lock(&self.read);
        let mut seen = self.witness.caught_up();
        for stop in &outcome.stopped {
            if let Some(message) = read.places.get(&stop.place) {
                let moment = seen.history.moment();
                seen.history.stops.push(Stop {
                    at: Where::Outbox,
                    key: ordered_key(message),
                    id: message.id.to_string(),
                    seen: moment,
                    lasting: false,
                });
            }
        }
        Ok(())
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.store.release(owner).await
    }

    fn doorbell(&self) -> Option<&Doorbell> {
        self.store.doorbell()
    }
}

#[async_trait]
impl Publisher for WatchedPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<Publication> {
        {
            let read = lock(&self.read);
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
        self.publisher.publish(messages).await
    }
}

/// Stops a key, seen.
#[derive(Debug)]
pub(in crate::shop) struct WatchedParking {
    parking: StopKey,
    witness: Arc<Witness>,
}

impl WatchedParking {
    pub(in crate::shop) const fn new(parking: StopKey, witness: Arc<Witness>) -> Self {
        Self { parking, witness }
    }
}

#[async_trait]
impl Parking for WatchedParking {
    async fn park(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<Parked, mainstay_inbox::Error> {
        let parked = self.parking.park(consumer, delivery, failure).await?;
        if let mainstay_messaging::Content::Message(message) = &delivery.content {
            let mut seen = self.witness.caught_up();
            let moment = seen.history.moment();
            seen.history.stops.push(Stop {
                at: Where::Consumer(consumer.to_string()),
                key: ordered_key(message),
                id: message.id.to_string(),
                seen: moment,
                lasting: false,
            });
        }
        Ok(parked)
    }
}
