//! From the commit to the effect, and by whom.

/// One message, as it was committed, published, or made into an effect.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Entry {
    /// What orders it: topic and key, where one key is used in several topics; none = nothing.
    pub key: Option<String>,
    /// Its place in the order of its key's commits, where the message says it; else 0.
    pub number: i64,
    /// The message's identity: what a writer asked for, once or several times.
    pub id: String,
    /// What tells its content from that of another message of the same id: which of the writer's attempts it was, of which at most
    /// one was committed, or a digest.
    pub attempt: String,
}

/// One record of the broker's log.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Published {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// What it holds.
    pub entry: Entry,
}

/// That a consumer reads a topic.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Reader {
    /// The consumer's name.
    pub consumer: String,
    /// The topic.
    pub topic: String,
}

/// What a consumer made of a message. A message that it may ignore has an effect, too: that it was ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Effect {
    /// The consumer's name.
    pub consumer: String,
    /// The message.
    pub entry: Entry,
}

/// What happened to something that has one owner at a time: a shard of an outbox, a partition of a group, a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "checkers are shown histories made by hand"
)]
pub enum Ownership {
    /// Somebody has taken it.
    Taken {
        /// What was taken.
        shard: String,
        /// The fence that was given.
        fence: i64,
        /// By whom; a process that was started again is another one.
        by: String,
    },
    /// Somebody has written as its owner, and this was committed.
    Recorded {
        /// As owner of what; none = this was not found, since there was nothing to change any more.
        shard: Option<String>,
        /// The fence that the writer showed, where it is known.
        fence: Option<i64>,
        /// By whom.
        by: String,
    },
}

/// That an owner gave a message to the broker's client.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Sent {
    /// The message.
    pub id: String,
    /// The shard that it was read from.
    pub shard: String,
    /// The fence of the sender.
    pub fence: i64,
    /// Who sent it.
    pub by: String,
    /// Whether it was recorded as published already when the sender *read* it. A record that is committed later, between the reading and the
    /// sending, does not count: its writer was answered by nobody, or is not the owner, which is told elsewhere.
    pub recorded: bool,
}
