//! The role that reads a broker's log as a member of a group.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Headers, Message, Topic};

/// One member of a consumer group.
///
/// Offsets are committed by hand, by position; automatic commits do not exist. A group that is new starts
/// where its configuration says ([`StartAt`]); a group whose offset lies outside the log stops with
/// [`Error::OffsetOutOfRange`], loudly, and an operator decides.
#[async_trait]
pub trait Consumer: Send + 'static {
    /// Waits for the next thing that concerns this member.
    ///
    /// # Behaviour
    /// - Deliveries of one partition come in offset order, without gaps of this consumer's making.
    /// - An assignment is told before the first delivery of the partition, and starts at the group's
    ///   committed offset.
    /// - A revocation is told *before* the partition goes: it stays this member's, and may be committed,
    ///   until [`release`](Self::release) or the deadline in the event. After [`ConsumerEvent::Lost`] it is gone
    ///   already: nothing of it may be committed.
    /// - Keeps the membership alive while it is polled, also while every partition is paused: call it
    ///   continually.
    /// - After an error, the next success is told: by [`ConsumerEvent::Recovered`] if there is nothing else.
    /// - A record that is not a message of ours is delivered raw, see [`Delivery::content`].
    ///
    /// # Errors
    /// A retryable error heals by calling again. Any other one is final for this member.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future loses nothing.
    async fn next(&mut self) -> Result<ConsumerEvent, Error>;

    /// Stores, durably, that the group has finished everything *below* each position.
    ///
    /// # Behaviour
    /// - An offset never moves back: a position at or below the stored one changes nothing.
    /// - A position in a partition that this member does not hold (any more) is refused with
    ///   [`Error::NotAssigned`], and moves nothing there; the others of the call are stored.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the offsets were stored; committing again is right.
    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error>;

    /// Pauses or resumes the delivery of partitions. A paused partition stays assigned.
    ///
    /// # Behaviour
    /// - A partition that is assigned flows, whatever it did when this member held it before.
    /// - Concerns what this member holds at this moment, told or not; other partitions are ignored. Who pauses by what it was
    ///   told last may thus hit a younger assignment, and says [`Flow::Running`] when that is told.
    fn flow(&mut self, partitions: &[Partition], flow: Flow);

    /// Gives partitions back: after [`ConsumerEvent::Revoked`] when they are drained, or at shutdown.
    /// Releasing everything leaves the group.
    ///
    /// # Behaviour
    /// - What was committed before stays committed; everything else will be delivered to the next holder.
    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error>;
}

/// What [`Consumer::next`] has to tell.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a worker must act on each of them")]
pub enum ConsumerEvent {
    /// Records, per partition in offset order; never empty.
    Deliveries(Vec<Delivery>),
    /// These partitions are this member's from now on.
    Assigned(Vec<Assignment>),
    /// These partitions are wanted elsewhere: finish or abandon what is in flight, commit, and
    /// [`release`](Consumer::release) them before `deadline` from now has gone by.
    Revoked {
        /// The partitions to give back.
        partitions: Vec<Partition>,
        /// How long this member still holds them.
        deadline: std::time::Duration,
    },
    /// These partitions are not this member's any more, without notice.
    Lost(Vec<Partition>),
    /// The broker answers again, and has nothing to tell.
    Recovered,
}

/// A partition that was just assigned.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "two facts, and no third is in sight"
)]
pub struct Assignment {
    /// Which one.
    pub partition: Partition,
    /// The offset of the first delivery to come: the group's committed one, or its start.
    pub start: i64,
}

/// Whether a partition delivers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "it flows or it does not")]
pub enum Flow {
    /// Nothing is delivered; the partition stays assigned.
    Paused,
    /// Records are delivered.
    Running,
}

/// Where a group begins that has never committed an offset.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a log has two ends")]
pub enum StartAt {
    /// At the oldest record still kept.
    #[default]
    Earliest,
    /// Behind the newest record: only what comes from now on.
    Latest,
}

/// One partition of one topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an address has these two parts")]
pub struct Partition {
    /// The topic.
    pub topic: Topic,
    /// Its number, from 0.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// An offset in a partition: of a record, or, in a commit, of the first record *not* finished.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an address has these two parts")]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The offset, from 0.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

/// One record as the broker handed it over.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "adapters outside this crate build it"
)]
pub struct Delivery {
    /// Where it lies in the log.
    pub position: Position,
    /// What it holds.
    pub content: Content,
}

/// What a record holds.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a record is a message of ours or it is not"
)]
pub enum Content {
    /// A message.
    Message(Message),
    /// Bytes that are not a message of ours, kept as they came, and what is wrong with them.
    Raw(Raw),
}

/// A record that could not be read as a [`Message`], with everything needed to keep and inspect it.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "adapters outside this crate build it"
)]
pub struct Raw {
    /// The record's key, if it had one.
    pub key: Option<Bytes>,
    /// The record's headers.
    pub headers: Headers,
    /// The record's body.
    pub payload: Option<Bytes>,
    /// Why it is not a message.
    pub reason: String,
}
