//! Records the history while it happens.

mod ports;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures_util::FutureExt as _;
use mainstay_database::memory::{Database, Record as _};
use mainstay_dlq::{State, memory::MemoryDeadLetters};
use mainstay_history::{Effect, Entry, History, Kept, Offset, Ownership, Removal};
use mainstay_inbox::MemoryInbox;
use mainstay_messaging::{Group, Message, MessageId, Partition, event::decode, memory::Broker};
use mainstay_outbox::{MemoryOutbox, store::FencingToken};

use parking_lot::{Mutex, MutexGuard};

use super::rows::{Parcel, Placed};
use crate::{Sim, scenario::published, world::LifeOf};
pub(super) use ports::Watched;

/// Sees every commit and every stored offset, and records the history.
pub(super) struct Witness {
    database: Database,
    broker: Broker,
    outbox: MemoryOutbox,
    inbox: MemoryInbox,
    pub(super) shards: u16,
    partitions: Vec<Partition>,
    pub(super) seen: Mutex<Seen>,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) history: History,
    /// The next offset to look at.
    read: BTreeMap<Partition, i64>,
    stored: BTreeMap<Partition, i64>,
    /// For each message in the outbox: its shard, and its number of rows.
    rows: BTreeMap<String, (u16, usize)>,
    /// Ids that were removed from the outbox, each with its number in the order of removals.
    pub(super) recorded: HashMap<String, usize>,
    pruned: BTreeSet<String>,
    /// Effects are never changed, so the key of each identifies it.
    effects: HashSet<usize>,
    kept: HashSet<String>,
    owners: BTreeMap<u16, (FencingToken, Option<String>)>,
    /// The name under which a relay owns shards.
    names: HashMap<LifeOf, String>,
}

impl Witness {
    /// Records what happens in this simulation from now on.
    pub(super) fn of(sim: &Sim, outbox: &MemoryOutbox, shards: u16) -> Arc<Self> {
        let witness = Arc::new(Self {
            inbox: MemoryInbox::new(sim.database()),
            partitions: sim.broker().partitions(),
            database: sim.database().clone(),
            broker: sim.broker().clone(),
            outbox: outbox.clone(),
            shards,
            seen: Mutex::default(),
        });
        let (told, world) = (Arc::downgrade(&witness), Arc::downgrade(&sim.world));
        sim.database().watch(move |tables| {
            if let (Some(witness), Some(world)) = (told.upgrade(), world.upgrade()) {
                let by = world.shared.lock().committing.take();
                witness.committed(by, tables);
            }
        });
        let told = Arc::downgrade(&witness);
        let stored = move |group: &_| {
            if let Some(witness) = told.upgrade() {
                witness.stored(group);
            }
        };
        drop(sim.world.on_stored.set(Box::new(stored)));
        witness
    }

    /// What was published until now, first of all.
    pub(super) fn caught_up(&self) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock();
        for partition in &self.partitions {
            let next = seen.read.get(partition).copied().unwrap_or(0);
            for record in self.broker.records(partition, next) {
                let offset = record.position.offset;
                seen.read.insert(partition.clone(), offset + 1);
                let placed = |message: &_| match decode::<Placed>(message) {
                    Ok(placed) => placed.into(),
                    Err(error) => Entry {
                        id: message.id.to_string(),
                        attempt: error.to_string(),
                        ..Entry::default()
                    },
                };
                seen.history.published.extend(published(&record, placed));
            }
        }
        seen
    }

    fn committed(&self, by: Option<LifeOf>, tables: &BTreeSet<&'static str>) {
        let mut seen = self.caught_up();
        if tables.contains(Parcel::TABLE) {
            self.effects(&mut seen);
        }
        if tables.contains("dlq_messages") {
            self.kept(&mut seen);
        }
        if tables.contains("inbox_processed") && !tables.contains(Parcel::TABLE) {
            self.processed(&mut seen);
        }
        if tables.contains("outbox_shards") {
            self.owners(&mut seen, by);
        }
        if tables.contains("outbox") || tables.contains("outbox_deferred") {
            self.rows(&mut seen, by);
        }
    }

    fn effects(&self, seen: &mut Seen) {
        for parcel in self.database.committed::<Parcel>() {
            if seen.effects.insert(Arc::as_ptr(&parcel).addr()) {
                seen.history.effects.push(Effect {
                    consumer: super::group().to_string(),
                    entry: parcel.placed.clone().into(),
                });
            }
        }
    }

    /// A message in the dead letter queue is durable, and its effect comes later.
    fn kept(&self, seen: &mut Seen) {
        for letter in MemoryDeadLetters::new(&self.database).committed() {
            if seen.kept.insert(letter.message_id.clone()) {
                let moment = seen.history.moment();
                seen.history.kept.push(Kept {
                    consumer: letter.consumer.to_string(),
                    key: letter.key,
                    id: letter.message_id,
                    seen: moment,
                });
            }
        }
    }

    /// Whether a message waits behind a dead letter of its key. That one blocks the key, and goes
    /// first.
    fn is_held(&self, message: &Message) -> bool {
        let letters = MemoryDeadLetters::new(&self.database).committed();
        let mut held = letters.iter().filter(|letter| letter.state == State::Held);
        held.any(|letter| letter.message_id == message.id.as_str())
    }

    /// Processed records are written with their effects, and pruned without.
    fn processed(&self, seen: &mut Seen) {
        let processed = self.inbox.processed().into_iter();
        let processed: HashSet<String> = processed.map(|(_, _, id)| id).collect();
        let moment = seen.history.moment();
        for effect in &seen.history.effects {
            let id = &effect.entry.id;
            if !processed.contains(id) && seen.pruned.insert(id.clone()) {
                seen.history.removals.push(Removal::ProcessedRecord {
                    consumer: effect.consumer.clone(),
                    id: id.clone(),
                    seen: moment,
                });
            }
        }
    }

    fn owners(&self, seen: &mut Seen, by: Option<LifeOf>) {
        for (lease, owner) in self.outbox.snapshot().owners {
            let now = (lease.fence, owner);
            let before = seen.owners.insert(lease.shard, now.clone());
            if before.as_ref() != Some(&now)
                && let (fence, Some(owner)) = now
            {
                if let Some(by) = by {
                    seen.names.insert(by, owner.clone());
                }
                seen.history.ownership.push(Ownership::Taken {
                    shard: lease.shard.to_string(),
                    fence: fence.as_i64(),
                    by: owner,
                });
            }
        }
    }

    fn rows(&self, seen: &mut Seen, by: Option<LifeOf>) {
        let mut rows: BTreeMap<String, (u16, usize)> = BTreeMap::new();
        for (shard, id) in self.outbox.snapshot().rows {
            if let Some(id) = id {
                rows.entry(id.to_string()).or_insert((shard, 0)).1 += 1;
            }
        }
        let moment = seen.history.moment();
        let before = std::mem::take(&mut seen.rows);
        let left = |id: &String| rows.get(id).map_or(0, |(_, times)| *times);
        let gone = before
            .into_iter()
            .filter(|(id, (_, times))| left(id) < *times);
        let mut shards = BTreeSet::new();
        for (id, (shard, _)) in gone {
            shards.insert(shard);
            let earlier = seen.recorded.len();
            seen.recorded.entry(id.clone()).or_insert(earlier);
            seen.history
                .removals
                .push(Removal::Row { id, seen: moment });
        }
        let name = by.and_then(|by| seen.names.get(&by));
        let recorded = name.into_iter().flat_map(|by| {
            shards.iter().map(|shard| Ownership::Recorded {
                shard: Some(shard.to_string()),
                fence: None,
                by: by.clone(),
            })
        });
        seen.history.ownership.extend(recorded);
        seen.rows = rows;
    }

    /// A group may have stored offsets.
    fn stored(&self, group: &Group) {
        let mut seen = self.caught_up();
        let Some(Ok(progress)) = self.broker.progress(group).now_or_never() else {
            return;
        };
        for (partition, offset, _) in progress {
            let before = seen.stored.insert(partition.clone(), offset);
            if before.unwrap_or(0) != offset {
                let moment = seen.history.moment();
                seen.history.offsets.push(Offset {
                    consumer: group.to_string(),
                    topic: partition.topic.to_string(),
                    partition: partition.number,
                    offset,
                    seen: moment,
                });
            }
        }
    }

    /// The messages that the outbox still holds.
    pub(super) fn waiting(&self) -> Vec<String> {
        let rows = self.outbox.snapshot().rows.into_iter();
        let name = |(shard, id): (u16, Option<MessageId>)| match id {
            Some(id) => id.to_string(),
            None => format!("unreadable, of shard {shard}"),
        };
        rows.map(name).collect()
    }
}
