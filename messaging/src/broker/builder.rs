//! Joining a group, and what the settings of this crate's brokers have in common.

use std::num::NonZeroU16;

use crate::{Error, Group, InvalidName, StartAt, Topic};

/// A member of a consumer group to be; from `broker.consumer("billing")`.
///
/// ```
/// # use mainstay_messaging::{Consumer, Error, StartAt, memory::Broker};
/// # async fn join(broker: &Broker) -> Result<(), Error> {
/// let consumer = broker.consumer("billing").start_at(StartAt::Latest).subscribe(["orders"]).await?;
/// assert_eq!(consumer.group().as_str(), "billing");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it subscribes"]
pub struct ConsumerBuilder<Broker> {
    pub(crate) broker: Broker,
    group: Result<Group, InvalidName>,
    start_at: StartAt,
}

/// What a member reads.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) group: Group,
    pub(crate) topics: Vec<Topic>,
    pub(crate) start_at: StartAt,
}

impl<Broker> ConsumerBuilder<Broker> {
    pub(crate) fn new(
        broker: Broker,
        group: impl TryInto<Group, Error: Into<InvalidName>>,
    ) -> Self {
        Self {
            broker,
            group: group.try_into().map_err(Into::into),
            start_at: StartAt::default(),
        }
    }

    /// Where the group begins in a topic that it has not subscribed to yet; default
    /// [`StartAt::Earliest`].
    pub const fn start_at(mut self, start_at: StartAt) -> Self {
        self.start_at = start_at;
        self
    }

    /// The broker, and what to read from it.
    pub(crate) fn subscription<T>(
        self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<(Broker, Subscription), Error>
    where
        T: TryInto<Topic, Error: Into<InvalidName>>,
    {
        let topics = topics
            .into_iter()
            .map(|topic| topic.try_into().map_err(Into::into));
        let subscription = Subscription {
            group: self.group?,
            topics: topics.collect::<Result<_, InvalidName>>()?,
            start_at: self.start_at,
        };
        Ok((self.broker, subscription))
    }
}

/// A topic without partitions would take no message, and could not be created again.
pub(crate) fn some_partitions(partitions: u16) -> Result<NonZeroU16, Error> {
    NonZeroU16::new(partitions).ok_or(Error::OutOfLimits {
        what: "the number of partitions of a topic",
        given: 0,
        limit: "1 to 65535",
    })
}
