//! What happened in a run, as plain data. Each section is in the order of the one place that orders
//! it; [`Moment`]s order sections. The checkers of an empty section find nothing.

#![allow(missing_docs, reason = "most fields say by their names what they are")]

use std::collections::{HashMap, HashSet};

/// A run, as it was found when it was over, or at a moment when nothing moved.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct History {
    /// What writers committed; of each key in the order of commits. A delayed message has no key here.
    pub committed: Vec<Entry>,
    /// The broker's log, retained or not; each partition in order, or all in the order of appends.
    pub published: Vec<Published>,
    /// Who reads what: each message of a topic has an effect on each of its readers.
    pub readers: Vec<Reader>,
    /// Effects; those of a consumer and key in the order of commits, or all of them.
    pub effects: Vec<Effect>,
    /// Who owned what, and what owners recorded; of each shard in the order of commits.
    pub ownership: Vec<Ownership>,
    /// What was given to the broker's client, whatever became of it.
    pub sends: Vec<Sent>,
    /// Offsets that groups committed; of each group and partition in order.
    pub offsets: Vec<Offset>,
    /// Positions that may only rise; of each cursor in order.
    pub cursors: Vec<Cursor>,
    /// Keys that were blocked.
    pub blocked_keys: Vec<BlockedKey>,
    /// What was removed for good.
    pub removals: Vec<Removal>,
    /// What is still to be done.
    pub left: Vec<Left>,
}

impl History {
    /// This moment, in a history that is being written.
    pub const fn moment(&self) -> Moment {
        Moment {
            published: self.published.len(),
            effects: self.effects.len(),
            offsets: self.offsets.len(),
        }
    }

    /// What the broker would still deliver, by the stored offsets, and nobody has done.
    pub fn undone(&self) -> Vec<Left> {
        let done: HashSet<(&str, &str)> = (self.effects.iter())
            .map(|effect| (&*effect.consumer, &*effect.entry.id))
            .collect();
        let stored: HashMap<(&str, &str, i32), i64> = (self.offsets.iter())
            .map(|o| ((&*o.consumer, &*o.topic, o.partition), o.offset))
            .collect();
        let mut undone = Vec::new();
        for Reader { consumer, topic } in &self.readers {
            for record in self.published.iter().filter(|r| r.topic == *topic) {
                let stored = stored.get(&(consumer, topic, record.partition));
                let Entry { key, id, .. } = &record.entry;
                if stored.is_none_or(|stored| *stored <= record.offset)
                    && !done.contains(&(consumer, id))
                {
                    undone.push(Left {
                        at: Location::Consumer(consumer.clone()),
                        key: key.clone(),
                        id: id.clone(),
                    });
                }
            }
        }
        undone
    }

    /// Whether a consumer reads a topic.
    pub(crate) fn reads(&self, consumer: &str, topic: &str) -> bool {
        let mut readers = self.readers.iter();
        readers.any(|r| r.consumer == consumer && r.topic == topic)
    }

    /// How many records of the log are there again.
    pub fn repetitions(&self) -> usize {
        let ids = self.published.iter().map(|record| &*record.entry.id);
        self.published.len() - ids.collect::<HashSet<&str>>().len()
    }

    /// How often something was taken whose name begins so.
    pub fn takeovers(&self, of: &str) -> usize {
        let taken = |event: &&Ownership| matches!(event, Ownership::Taken { shard, .. } if shard.starts_with(of));
        self.ownership.iter().filter(taken).count()
    }
}

/// One message, as it was committed, published, or made into an effect.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Entry {
    /// What orders it: topic and key, where one key is used in several topics; none = nothing.
    pub key: Option<String>,
    /// Its number in the order of its key's commits, where the message says it; otherwise 0.
    pub number: i64,
    /// The message's identity, the same in each attempt of its writer.
    pub id: String,
    /// What tells its content from that of another message of the same id: the writer's attempt, of
    /// which at most one was committed, or a digest.
    pub attempt: String,
}

/// One record of the broker's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub entry: Entry,
}

/// That a consumer reads a topic.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reader {
    pub consumer: String,
    pub topic: String,
}

/// What a consumer made of a message. That it was ignored is an effect, too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    pub consumer: String,
    pub entry: Entry,
}

/// What happened to something with one owner at a time: a shard, a partition of a group, a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// Somebody has taken it.
    Taken {
        shard: String,
        fence: i64,
        /// By whom; a process that was started again is another one.
        by: String,
    },
    /// Somebody has written as its owner, and this was committed.
    Recorded {
        /// As owner of what; none = nothing was left to change.
        shard: Option<String>,
        /// The fence that the writer showed, where it is known.
        fence: Option<i64>,
        by: String,
    },
}

/// That an owner gave a message to the broker's client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    pub id: String,
    pub shard: String,
    pub fence: i64,
    pub by: String,
    /// Whether it was recorded as published when the sender *read* it. Later records do not count.
    pub recorded: bool,
}

/// How long sections of the [`History`] were when something happened. A real run counts afterwards, so
/// it may count more; checkers allow that, except where it is said.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Moment {
    pub published: usize,
    pub effects: usize,
    pub offsets: usize,
}

/// That a group stored an offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offset {
    pub consumer: String,
    pub topic: String,
    pub partition: i32,
    /// Everything below is finished.
    pub offset: i64,
    pub seen: Moment,
}

/// That a position was stored that may only rise, such as a watermark or a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    pub name: String,
    pub position: i64,
}

/// Where a message can be on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Location {
    /// Committed, and not yet published.
    Outbox,
    /// Published, and not yet done by this consumer.
    Consumer(String),
}

/// That a message could not be published, or not be handled, and blocked its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockedKey {
    pub at: Location,
    /// The key; none = nothing waits behind it.
    pub key: Option<String>,
    pub id: String,
    pub seen: Moment,
    /// Whether its cause stays to the end.
    pub lasting: bool,
}

/// That something was removed for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Removal {
    /// Of an outbox: the message was recorded as published, or its part of the log was cut off.
    Row { id: String, seen: Moment },
    /// Of an inbox: a processed record was pruned.
    ProcessedRecord {
        consumer: String,
        id: String,
        /// It counts no more of the log than there was: each redelivery in it forbids the removal.
        seen: Moment,
    },
}

/// A message still to be published or done: a row of an outbox, or a record without its effect at or
/// above a group's offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    pub at: Location,
    pub key: Option<String>,
    pub id: String,
}
