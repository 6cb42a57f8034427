//! How far everybody came, and what stood in the way.

/// How much of other sections there was when something happened.
///
/// A real run sees both one after the other: it reads what happened first, and counts what was there afterwards. So it may count more than there was,
/// and no checker takes offence at more, but where it is said.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Moment {
    /// Of [`History::published`](super::History::published).
    pub published: usize,
    /// Of [`History::effects`](super::History::effects).
    pub effects: usize,
    /// Of [`History::offsets`](super::History::offsets).
    pub offsets: usize,
}

/// That a group stored an offset.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Offset {
    /// The consumer.
    pub consumer: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Everything below is finished.
    pub offset: i64,
    /// When it was stored.
    pub seen: Moment,
}

/// That a position which may only rise was stored: a watermark, a checkpoint, the begin of a log that is cut off behind.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Cursor {
    /// Whose position.
    pub name: String,
    /// The position.
    pub position: i64,
}

/// Where a message can be on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "checkers are shown histories made by hand"
)]
pub enum Place {
    /// Committed, and not yet published.
    Outbox,
    /// Published, and not yet done by this consumer.
    Consumer(String),
}

/// That a message could not be published, or not be handled, and stopped its key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Stop {
    /// Where.
    pub at: Place,
    /// The key; none = nothing waits behind it.
    pub key: Option<String>,
    /// The message.
    pub id: String,
    /// When.
    pub seen: Moment,
    /// Whether nobody removed its cause: it may stand to the end.
    pub lasting: bool,
}

/// That something was removed for good.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "checkers are shown histories made by hand"
)]
pub enum Removal {
    /// An outbox does not hold a message any more: it was recorded, or its part of the log was cut off.
    Row {
        /// The message.
        id: String,
        /// When.
        seen: Moment,
    },
    /// An inbox has forgotten that a message is done.
    Mark {
        /// Whose mark.
        consumer: String,
        /// The message.
        id: String,
        /// When. Of the log it counts no more than there was: each copy of the message in it is held against the removal.
        seen: Moment,
    },
}

/// A message that is still to be published or done: a row of an outbox; a record at or above a group's offset without its effect.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "checkers are shown histories made by hand"
)]
pub struct Left {
    /// Where.
    pub at: Place,
    /// Its key.
    pub key: Option<String>,
    /// The message.
    pub id: String,
}
