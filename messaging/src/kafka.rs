//! Apache Kafka.

mod buffers;
mod builder;
mod call;
mod client;
mod commits;
mod config;
mod consumer;
mod error;
mod facts;
mod line;
mod member;
mod poller;
mod producer;
mod progress;
mod publisher;
mod reader;
mod record;
mod starts;
#[cfg(feature = "kafka-tls")]
mod tls;
mod topics;

use std::sync::Arc;

use crate::{
    Error, Group, InvalidName, Partition, Topic,
    broker::{ConsumerBuilder, builder::some_partitions},
};
use builder::Settings;

pub use builder::{Builder, GroupProtocol};
pub use consumer::LogConsumer;
pub use publisher::LogPublisher;
/// The driver, for what this crate leaves out.
pub use rdkafka;
pub use reader::TopicReader;

/// A Kafka cluster. Clones share its settings.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: String,
    settings: Arc<Settings>,
}

impl Broker {
    /// Connects to the cluster with default settings; `servers` are addresses of some of its nodes,
    /// such as `kafka-1:9092,kafka-2:9092`.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn open(servers: impl Into<String>) -> Result<Self, Error> {
        Self::builder(servers).open().await
    }

    /// The cluster with these nodes.
    pub fn builder(servers: impl Into<String>) -> Builder {
        Builder::new(servers.into())
    }

    /// The identity of the cluster.
    ///
    /// A database whose inbox and outbox worked with one cluster must not continue with another:
    /// messages on their way are missing, and offsets begin anew. Keep the id in the database, and
    /// compare it at each start.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Creates a topic of 1 to 65,535 partitions. A topic that exists keeps those it has: partitions
    /// of a topic with keys must never become more, since keys would move.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], [`Error::InvalidName`], [`Error::OutOfLimits`].
    pub async fn create_topic(
        &self,
        topic: impl TryInto<Topic, Error: Into<InvalidName>>,
        partitions: u16,
    ) -> Result<(), Error> {
        let topic: Topic = topic.try_into().map_err(Into::into)?;
        let partitions = some_partitions(partitions)?.get();
        topics::create(&self.inner.settings, &topic, partitions).await
    }

    /// A publisher with a connection of its own; its clones share it.
    #[must_use]
    pub fn publisher(&self) -> LogPublisher {
        LogPublisher::new(Arc::clone(&self.inner.settings))
    }

    /// A new member of `group`, which reads what it subscribes to.
    pub fn consumer(
        &self,
        group: impl TryInto<Group, Error: Into<InvalidName>>,
    ) -> ConsumerBuilder<Self> {
        ConsumerBuilder::new(self.clone(), group)
    }

    /// The progress of `group` in each partition for which it has committed an offset: (partition,
    /// committed offset, end of the log).
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn progress(&self, group: &Group) -> Result<Vec<(Partition, i64, i64)>, Error> {
        progress::of(&self.inner.settings, group).await
    }

    /// Every record of `topics` from its beginning to its end as it is now, without joining a group.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::InvalidName`], [`Error::Unavailable`], [`Error::Refused`].
    pub async fn read<T>(&self, topics: impl IntoIterator<Item = T>) -> Result<TopicReader, Error>
    where
        T: TryInto<Topic, Error: Into<InvalidName>>,
    {
        let topics = topics
            .into_iter()
            .map(|topic| topic.try_into().map_err(Into::into))
            .collect::<Result<Vec<Topic>, InvalidName>>()?;
        TopicReader::open(&self.inner.settings, topics).await
    }
}

impl ConsumerBuilder<Broker> {
    /// Joins the group at the first call of [`next`](crate::Consumer::next), to read `topics`. A
    /// topic may be created later.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for the group or a topic; [`Error::Refused`] for a setting.
    #[expect(clippy::unused_async, reason = "the shape that all brokers share")]
    pub async fn subscribe<T>(
        self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<LogConsumer, Error>
    where
        T: TryInto<Topic, Error: Into<InvalidName>>,
    {
        let (broker, subscription) = self.subscription(topics)?;
        LogConsumer::new(Arc::clone(&broker.inner.settings), subscription)
    }
}
