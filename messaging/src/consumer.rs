//! The role that reads topics as a member of a group.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Group, Headers, Message, Topic};

/// One member of a consumer group.
///
/// Offsets are committed by position; there are no automatic commits. A group that has no offsets
/// begins where its [`StartAt`] says. A group whose offset lies outside the log stops with
/// [`Error::OffsetOutOfRange`], and an operator decides.
///
/// Roles are implemented for boxes: `Box<dyn Consumer>` is a consumer.
#[async_trait]
pub trait Consumer: Send + 'static {
    /// The group that this consumer is a member of.
    fn group(&self) -> &Group;

    /// Waits for the next event that concerns this member.
    ///
    /// # Behaviour
    /// - The deliveries of one partition come in offset order; the consumer skips none.
    /// - [`ConsumerEvent::Assigned`] comes before the first delivery of its partitions, which start
    ///   at the group's committed offset.
    /// - [`ConsumerEvent::Revoked`] comes *before* its partitions move: this member holds them, and
    ///   may commit, until it calls [`release`](Self::release) or the deadline passes. After
    ///   [`ConsumerEvent::Lost`] it may not commit any more.
    /// - Each call keeps the membership alive: call it continually, even while every partition is
    ///   paused.
    /// - The first success after an error is an event; [`ConsumerEvent::Recovered`] if there is no
    ///   other.
    /// - A record that is no message is delivered raw, see [`Delivery::content`].
    ///
    /// # Errors
    /// After a retryable error, call again. Any other error is final for this member.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future loses no event.
    async fn next(&mut self) -> Result<ConsumerEvent, Error>;

    /// Stores, durably, that the group has finished everything *below* each position.
    ///
    /// # Behaviour
    /// - An offset never moves back: a position at or below the stored one changes nothing.
    /// - A position in a partition that this member does not hold is not stored. The other
    ///   positions of the call are.
    ///
    /// # Errors
    /// [`Error::NotAssigned`] if a position was not stored because its partition is not this
    /// member's. After a retryable error, the offsets may or may not be stored: commit again.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the offsets were stored. Committing again is
    /// safe.
    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error>;

    /// Stops the delivery of these partitions. They stay assigned.
    ///
    /// # Behaviour
    /// - Concerns the partitions that this member holds now, even those whose
    ///   [`ConsumerEvent::Assigned`] is still to come; others are ignored.
    /// - A new assignment of a partition is never paused. A caller that acts on an event from
    ///   before that assignment may pause the new one. It resumes the partition when it gets
    ///   [`ConsumerEvent::Assigned`].
    fn pause(&mut self, partitions: &[Partition]);

    /// Starts the delivery of paused partitions again.
    ///
    /// # Behaviour
    /// - Delivery continues behind the last record that was delivered.
    /// - Partitions that are not paused, or not held, are ignored.
    fn resume(&mut self, partitions: &[Partition]);

    /// Gives partitions back: once drained after [`ConsumerEvent::Revoked`], or at shutdown.
    ///
    /// # Behaviour
    /// - Committed offsets stay committed. All other records are delivered to the next owner.
    /// - A partition that was not asked back may become this member's again, which
    ///   [`ConsumerEvent::Assigned`] announces. This holds even if the call was meant for an earlier
    ///   assignment of the partition.
    /// - Releasing everything leaves the group.
    ///
    /// # Errors
    /// After a retryable error, release again, or let the lease end.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the partitions were given back. Releasing
    /// again is safe.
    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error>;
}

#[async_trait]
impl<C: Consumer + ?Sized> Consumer for Box<C> {
    fn group(&self) -> &Group {
        (**self).group()
    }
    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        (**self).next().await
    }
    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        (**self).commit(positions).await
    }
    fn pause(&mut self, partitions: &[Partition]) {
        (**self).pause(partitions);
    }
    fn resume(&mut self, partitions: &[Partition]) {
        (**self).resume(partitions);
    }
    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        (**self).release(partitions).await
    }
}

/// What [`Consumer::next`] yields.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a worker must act on each of them")]
pub enum ConsumerEvent {
    /// Records, per partition in offset order; never empty.
    Deliveries(Vec<Delivery>),
    /// These partitions are this member's from now on.
    Assigned(Vec<Assignment>),
    /// These partitions are to move to another member: finish or abandon what is in flight, commit,
    /// and [`release`](Consumer::release) them within `deadline`.
    Revoked {
        /// The partitions to give back.
        partitions: Vec<Partition>,
        /// How long this member still holds them.
        deadline: std::time::Duration,
    },
    /// These partitions are not this member's any more. It may not commit them.
    Lost(Vec<Partition>),
    /// The broker answers again after an error, and there is no other event.
    Recovered,
}

/// A partition that was just assigned.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "brokers outside this crate build it"
)]
pub struct Assignment {
    /// Which one.
    pub partition: Partition,
    /// The offset of the first delivery to come: the group's committed one, or its start.
    pub start: i64,
}

/// Where a group begins in a topic when its first member joins.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a log has two ends")]
pub enum StartAt {
    /// At the oldest record still kept.
    #[default]
    Earliest,
    /// Behind the newest record: it reads only later ones. A partition that appears after the group
    /// has joined holds only later ones, and is read from its beginning. A member joins when it
    /// first calls [`Consumer::next`].
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

impl Position {
    /// The position behind this one: what to commit when this record is finished.
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            partition: self.partition.clone(),
            offset: self.offset + 1,
        }
    }
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
    reason = "brokers outside this crate build it"
)]
pub struct Delivery {
    /// Its place in the log.
    pub position: Position,
    /// What it holds.
    pub content: Content,
}

/// What a record holds.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a record is a message or it is not"
)]
pub enum Content {
    /// A message.
    Message(Message),
    /// A record that cannot be read as a message, byte for byte, with the reason.
    Raw(Raw),
}

impl Content {
    /// The message, unless the record is raw.
    #[must_use]
    pub const fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Raw(_) => None,
        }
    }
}

/// A record that could not be read as a [`Message`], with everything needed to keep and inspect it.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "brokers outside this crate build it"
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
