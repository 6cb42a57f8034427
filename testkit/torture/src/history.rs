//! What happened, as it was found afterwards.

use std::collections::HashSet;

/// One entry of one key, as it was committed, published, or made into an effect.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Entry {
    /// What orders it.
    pub key: String,
    /// Its place in the order of its key's commits.
    pub number: i64,
    /// The message's id: what a writer asked for, once or several times.
    pub id: String,
    /// Which of the writer's attempts it was: at most one of them was committed.
    pub attempt: String,
}

/// What happened to the ownership of a shard, in the order in which it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "checkers are shown histories made by hand"
)]
pub enum Ownership {
    /// A relay has taken a shard.
    Taken {
        /// The shard.
        shard: i32,
        /// The fence it was given.
        fence: i64,
        /// Its name.
        by: String,
    },
    /// A relay has removed rows, and this was committed.
    Removed {
        /// Of which shard; none = there was nothing to remove any more.
        shard: Option<i32>,
        /// Its name.
        by: String,
    },
}

/// A run, as it was found when it was over.
#[derive(Clone, Default, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct History {
    /// What writers committed, by key and in the order of commits.
    pub committed: Vec<Entry>,
    /// The broker's log, each partition in order. A key lies in one partition.
    pub published: Vec<Entry>,
    /// Effects, in the order in which they were made, as far as one key is concerned.
    pub effects: Vec<Entry>,
    /// Rows that the outbox still holds.
    pub waiting: i64,
    /// Who owned what, and who removed rows.
    pub ownership: Vec<Ownership>,
}

impl History {
    /// How many records of the log are there again.
    #[must_use]
    pub fn repetitions(&self) -> usize {
        let ids: HashSet<&str> = self.published.iter().map(|entry| &*entry.id).collect();
        self.published.len() - ids.len()
    }

    /// How often a relay took a shard.
    #[must_use]
    pub fn takeovers(&self) -> usize {
        let taken = |event: &&Ownership| matches!(event, Ownership::Taken { .. });
        self.ownership.iter().filter(taken).count()
    }
}
