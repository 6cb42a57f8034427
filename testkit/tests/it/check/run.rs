//! Random runs without fault.

use mainstay_testkit::{
    History,
    history::{BlockedKey, Effect, Location, Offset, Reader, Removal},
};

use super::good::{at, cursor, entry, recorded, sent, taken};

pub(super) const CONSUMER: &str = "billing";
const TOPIC: &str = "orders";
pub(super) const KEYS: usize = 4;
const PARTITIONS: usize = 2;

/// An outbox of one shard, a log and a worker, as far as the checkers are concerned. Numbers in it are places in `committed`, by which
/// messages are known, and in the log.
#[derive(Default)]
pub(super) struct Run {
    pub(super) history: History,
    fence: i64,
    /// Of each key, how many of its messages are committed, published, done.
    committed: [i64; KEYS],
    published: [i64; KEYS],
    done: [i64; KEYS],
    /// Rows that are published and still there.
    unrecorded: Vec<(usize, i64)>,
    /// What lies in each partition.
    log: [Vec<(usize, i64)>; PARTITIONS],
    stored: [usize; PARTITIONS],
}

impl Run {
    pub(super) fn of(steps: &[(u8, usize)]) -> Self {
        let mut run = Self::default();
        run.history.readers.push(Reader {
            consumer: CONSUMER.to_owned(),
            topic: TOPIC.to_owned(),
        });
        run.take();
        for (step, any) in steps {
            let key = any % KEYS;
            match step {
                0..4 => run.commit(key),
                4..7 => run.publish(key),
                7 => run.publish_again(*any),
                8 => run.record(*any),
                9..12 => run.make_effect(key),
                12 => run.store(any % PARTITIONS),
                13 => run.take(),
                14 => run.stop(key),
                _ => run.prune(*any),
            }
        }
        run.drain();
        run
    }

    /// Everything heals: each key has two messages at least, and all of them are done.
    fn drain(&mut self) {
        for key in 0..KEYS {
            for _ in 0..2 {
                self.commit(key);
            }
            while self.published[key] < self.committed[key] {
                self.publish(key);
            }
            while self.done[key] < self.committed[key] {
                self.make_effect(key);
            }
        }
        while !self.unrecorded.is_empty() {
            self.record(0);
        }
        (0..PARTITIONS).for_each(|partition| self.store(partition));
        self.prune(0);
        self.history.cursors.push(cursor("watermark", 1));
    }

    fn owner(&self) -> String {
        format!("relay {}", self.fence)
    }

    fn take(&mut self) {
        self.fence += 1;
        let taken = taken("shard", self.fence, &self.owner());
        self.history.ownership.push(taken);
    }

    fn commit(&mut self, key: usize) {
        self.committed[key] += 1;
        let entry = entry(&key.to_string(), self.committed[key]);
        self.history.committed.push(entry);
    }

    fn publish(&mut self, key: usize) {
        if self.published[key] < self.committed[key] {
            self.published[key] += 1;
            let message = (key, self.published[key]);
            self.send(message);
            self.unrecorded.push(message);
        }
    }

    /// The answer was lost, or a former owner has it in hand.
    fn publish_again(&mut self, any: usize) {
        if !self.unrecorded.is_empty() {
            self.send(self.unrecorded[any % self.unrecorded.len()]);
        }
    }

    fn send(&mut self, (key, number): (usize, i64)) {
        let entry = entry(&key.to_string(), number);
        let sent = sent(&entry.id, "shard", self.fence, &self.owner());
        self.history.sends.push(sent);
        let partition = key % PARTITIONS;
        let offset = i64::try_from(self.log[partition].len()).unwrap();
        self.log[partition].push((key, number));
        let partition = i32::try_from(partition).unwrap();
        (self.history.published).push(at(TOPIC, partition, offset, entry));
    }

    fn record(&mut self, any: usize) {
        if self.unrecorded.is_empty() {
            return;
        }
        let (key, number) = self.unrecorded.remove(any % self.unrecorded.len());
        let record = recorded("shard", Some(self.fence), &self.owner());
        self.history.ownership.push(record);
        self.history.removals.push(Removal::Row {
            id: entry(&key.to_string(), number).id,
            seen: self.history.moment(),
        });
    }

    fn make_effect(&mut self, key: usize) {
        if self.done[key] < self.published[key] {
            self.done[key] += 1;
            self.history.effects.push(Effect {
                consumer: CONSUMER.to_owned(),
                entry: entry(&key.to_string(), self.done[key]),
            });
        }
    }

    fn store(&mut self, partition: usize) {
        let done = |(key, number): &&(usize, i64)| self.done[*key] >= *number;
        let offset = self.log[partition].iter().take_while(done).count();
        if offset > self.stored[partition] {
            self.stored[partition] = offset;
            self.history.offsets.push(Offset {
                consumer: CONSUMER.to_owned(),
                topic: TOPIC.to_owned(),
                partition: i32::try_from(partition).unwrap(),
                offset: i64::try_from(offset).unwrap(),
                seen: self.history.moment(),
            });
        }
    }

    /// The next message of a key is refused, or cannot be handled.
    fn stop(&mut self, key: usize) {
        let (at, next) = if self.published[key] < self.committed[key] {
            (Location::Outbox, self.published[key] + 1)
        } else if self.done[key] < self.published[key] {
            (Location::Consumer(CONSUMER.to_owned()), self.done[key] + 1)
        } else {
            return;
        };
        let entry = entry(&key.to_string(), next);
        self.history.blocked_keys.push(BlockedKey {
            at,
            key: entry.key,
            id: entry.id,
            seen: self.history.moment(),
            lasting: false,
        });
    }

    /// Prunes the record of a message that is not redelivered any more.
    fn prune(&mut self, any: usize) {
        let redelivered = |message: &(usize, i64)| {
            let partition = message.0 % PARTITIONS;
            self.log[partition][self.stored[partition]..].contains(message)
        };
        let old = (0..PARTITIONS).flat_map(|p| &self.log[p][..self.stored[p]]);
        let old: Vec<_> = old.filter(|message| !redelivered(message)).collect();
        if !old.is_empty() {
            let (key, number) = old[any % old.len()];
            self.history.removals.push(Removal::ProcessedRecord {
                consumer: CONSUMER.to_owned(),
                id: entry(&key.to_string(), *number).id,
                seen: self.history.moment(),
            });
        }
    }
}
