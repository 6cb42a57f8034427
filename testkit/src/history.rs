//! What happened in a run, as plain data: made by a simulation while it goes on, or read afterwards from where each process wrote.
//!
//! Each section is in the order of the one place that orders it. What needs an order across places carries the [`Moment`]
//! at which it happened. A section that nobody filled is empty, and the checkers of that section have nothing to say.

mod progress;
mod work;

pub use progress::{Cursor, Left, Moment, Offset, Place, Removal, Stop};
pub use work::{Effect, Entry, Ownership, Published, Reader, Sent};

use std::collections::{HashMap, HashSet};

/// A run, as it was found when it was over, or at a moment when nothing moved.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct History {
    /// What writers committed; of each key in the order of commits. What leaves its key's order (a delayed message) has no key
    /// here.
    pub committed: Vec<Entry>,
    /// The broker's log, retained or not; each partition in order. Where moments count it: in the order of appends.
    pub published: Vec<Published>,
    /// Who reads what: each message of a topic has an effect on each of its readers.
    pub readers: Vec<Reader>,
    /// Effects; those of a consumer and key in the order in which they were made. Where moments count them: in the order of
    /// commits.
    pub effects: Vec<Effect>,
    /// Who owned what, and what owners recorded; of each shard in the order of commits.
    pub ownership: Vec<Ownership>,
    /// What was given to the broker's client, whatever became of it.
    pub sends: Vec<Sent>,
    /// Offsets that groups committed; of each group and partition in the order in which they were stored.
    pub offsets: Vec<Offset>,
    /// Positions that may only rise; of each cursor in the order in which they were stored.
    pub cursors: Vec<Cursor>,
    /// Keys that were stopped.
    pub stops: Vec<Stop>,
    /// What was removed for good.
    pub removals: Vec<Removal>,
    /// What is still to be done.
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

    /// What the broker would still deliver, by the stored offsets, and nobody has done.
    #[must_use]
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
                        at: Place::Consumer(consumer.clone()),
                        key: key.clone(),
                        id: id.clone(),
                    });
                }
            }
        }
        undone
    }

    /// How many records of the log are there again.
    #[must_use]
    pub fn repetitions(&self) -> usize {
        let ids = self.published.iter().map(|record| &*record.entry.id);
        self.published.len() - ids.collect::<HashSet<&str>>().len()
    }

    /// How often something was taken whose name begins so.
    #[must_use]
    pub fn takeovers(&self, of: &str) -> usize {
        let taken = |event: &&Ownership| matches!(event, Ownership::Taken { shard, .. } if shard.starts_with(of));
        self.ownership.iter().filter(taken).count()
    }
}
