//! What happened in a run, as plain data.

use std::collections::{HashMap, HashSet};

/// What happened in a run, up to its end or to a moment at which nothing moved.
///
/// A test writes it while it runs, or reads it afterwards from tables and logs. Each section is in
/// the order of the one place that orders it, such as a partition or a table. Events whose order
/// across places matters carry a [`Moment`].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct History {
    /// Messages that writers committed; those of each key in the order of commits. A delayed
    /// message leaves the order of its key, so it has no key here.
    pub committed: Vec<Entry>,
    /// The broker's log, records that retention removed included; each partition in order. Where
    /// moments count records: in the order of appends.
    pub published: Vec<Published>,
    /// Which consumer reads which topic: each message of the topic has an effect on it.
    pub readers: Vec<Reader>,
    /// Effects; those of each consumer and key in the order in which they were made. Where moments
    /// count effects: in the order of commits.
    pub effects: Vec<Effect>,
    /// Changes of owner, and what owners recorded; of each shard in the order of commits.
    pub ownership: Vec<Ownership>,
    /// Messages that were given to the broker's client, whatever the result.
    pub sends: Vec<Sent>,
    /// Offsets that groups committed; of each group and partition in the order in which they were
    /// stored.
    pub offsets: Vec<Offset>,
    /// Positions that may only rise; of each cursor in the order in which they were stored.
    pub cursors: Vec<Cursor>,
    /// Messages that a dead letter queue took over; in the order of commits.
    pub kept: Vec<Kept>,
    /// Keys that were blocked.
    pub blocked: Vec<Blocked>,
    /// Rows that were removed.
    pub removals: Vec<Removal>,
    /// Messages that are still to be published or handled.
    pub left: Vec<Left>,
}

impl History {
    /// This moment, in a history that is being written.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        Moment {
            published: self.published.len(),
            effects: self.effects.len(),
            offsets: self.offsets.len(),
        }
    }

    /// Records at or above the stored offset of a consumer, and messages in its dead letter queue,
    /// that have no effect on it yet.
    #[must_use]
    pub fn undone(&self) -> Vec<Left> {
        let done: HashSet<(&str, &str)> = (self.effects.iter())
            .map(|effect| (&*effect.consumer, &*effect.entry.id))
            .collect();
        let stored: HashMap<(&str, &str, i32), i64> = (self.offsets.iter())
            .map(|o| ((&*o.consumer, &*o.topic, o.partition), o.offset))
            .collect();
        let kept = self.kept.iter().filter(|kept| {
            let (consumer, id) = (&*kept.consumer, &*kept.id);
            !done.contains(&(consumer, id))
        });
        let mut undone: Vec<Left> = kept
            .map(|kept| Left {
                at: Place::Consumer(kept.consumer.clone()),
                key: kept.key.clone(),
                id: kept.id.clone(),
            })
            .collect();
        for Reader { consumer, topic } in &self.readers {
            for record in self.published.iter().filter(|r| r.topic == *topic) {
                let stored = stored.get(&(consumer, topic, record.partition));
                let Entry { key, id, .. } = &record.entry;
                if stored.is_none_or(|stored| *stored <= record.offset)
                    && !done.contains(&(consumer, id))
                {
                    undone.push(Left {
                        at: Place::Consumer(consumer.clone()),
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

    /// How many records of the log repeat a message.
    #[must_use]
    pub fn repetitions(&self) -> usize {
        let ids = self.published.iter().map(|record| &*record.entry.id);
        self.published.len() - ids.collect::<HashSet<&str>>().len()
    }

    /// How many times a shard whose name begins with `prefix` was taken.
    #[must_use]
    pub fn takeovers(&self, prefix: &str) -> usize {
        let taken = |event: &&Ownership| matches!(event, Ownership::Taken { shard, .. } if shard.starts_with(prefix));
        self.ownership.iter().filter(taken).count()
    }
}

/// One message, as it was committed, published, or handled.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Entry {
    /// The key that orders it, with its topic if topics share keys; `None` if nothing orders it.
    pub key: Option<String>,
    /// Its number in the order of its key's commits, if the message has one; otherwise 0.
    pub number: i64,
    /// The id by which consumers recognise it.
    pub id: String,
    /// Tells it from another message with the same id: the writer's attempt, or a digest of the
    /// content.
    pub attempt: String,
}

/// One record of the broker's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The record's offset in the partition.
    pub offset: i64,
    /// The message.
    pub entry: Entry,
}

/// A consumer reads a topic.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reader {
    /// The consumer.
    pub consumer: String,
    /// The topic.
    pub topic: String,
}

/// A consumer has handled a message. A message that it may ignore has an effect too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// The consumer.
    pub consumer: String,
    /// The message.
    pub entry: Entry,
}

/// An event of something that has one owner at a time, called shard here: a shard of an outbox, a
/// partition of a group, a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// A process became the owner.
    Taken {
        /// The shard.
        shard: String,
        /// The fencing token that it was given.
        fence: i64,
        /// The process. A process that was started again has another name.
        by: String,
    },
    /// A process committed a write as the owner.
    Recorded {
        /// The shard; `None` if the write found nothing to change.
        shard: Option<String>,
        /// The fencing token that the writer showed, if it is known.
        fence: Option<i64>,
        /// The process.
        by: String,
    },
}

/// An owner gave a message to the broker's client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The id of the message.
    pub id: String,
    /// The shard.
    pub shard: String,
    /// The owner's fencing token.
    pub fence: i64,
    /// The owner.
    pub by: String,
    /// Whether the message was already recorded as published when the owner *read* it. A record
    /// that is committed between reading and sending does not count.
    pub recorded: bool,
}

/// How long [`History::published`], [`History::effects`] and [`History::offsets`] were when
/// something happened.
///
/// A test of real processes reads the event first and counts afterwards, so it may count more than
/// there was at that moment. Checkers allow that, except where a field says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Moment {
    /// Records of the log.
    pub published: usize,
    /// Effects.
    pub effects: usize,
    /// Stored offsets.
    pub offsets: usize,
}

/// A group stored an offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offset {
    /// The group.
    pub consumer: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Every record below it is finished.
    pub offset: i64,
    /// When.
    pub seen: Moment,
}

/// A dead letter queue has taken a message over: it is durable there, and its effect comes later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The consumer that could not handle it, or whose earlier message of the key it waits behind.
    pub consumer: String,
    /// The key of the message.
    pub key: Option<String>,
    /// The id of the message.
    pub id: String,
    /// When.
    pub seen: Moment,
}

/// A position that may only rise was stored: a watermark, a checkpoint, the begin of a truncated
/// log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Which cursor.
    pub name: String,
    /// The position.
    pub position: i64,
}

/// Where a message waits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// It is committed and not yet published.
    Outbox,
    /// It is published and not yet handled by this consumer.
    Consumer(String),
}

/// A message that could not be published or handled blocked its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blocked {
    /// Where the message waits.
    pub at: Place,
    /// The key; `None` if nothing waits behind the message.
    pub key: Option<String>,
    /// The id of the message.
    pub id: String,
    /// When.
    pub seen: Moment,
    /// Whether the cause stays to the end: then the key may stay blocked.
    pub lasting: bool,
}

/// A row was removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Removal {
    /// The row of a message in an outbox.
    Row {
        /// The id of the message.
        id: String,
        /// When.
        seen: Moment,
    },
    /// A processed record, pruned from an inbox.
    ProcessedRecord {
        /// The consumer.
        consumer: String,
        /// The id of the message.
        id: String,
        /// When. It must not count more records of the log than there were: each record of the
        /// message in the log is held against the removal.
        seen: Moment,
    },
}

/// A message that is still to be published or handled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// Where it waits.
    pub at: Place,
    /// Its key.
    pub key: Option<String>,
    /// Its id.
    pub id: String,
}
