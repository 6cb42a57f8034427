//! Apache Kafka.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mainstay_messaging::{Consumer, Message, Publisher, broker::ConsumerEvent, kafka::Broker};
//!
//! let broker = Broker::open("127.0.0.1:9092").await?;
//! broker.create_topic("orders", 6).await?;
//!
//! let message = Message::builder()
//!     .topic("orders").kind("OrderPlaced").source("/orders").key("order-7")
//!     .json(&serde_json::json!({ "cents": 1250 }))
//!     .build()?;
//! for outcome in broker.publisher().publish(&[message]).await {
//!     assert!(outcome.is_acknowledged());
//! }
//!
//! let mut consumer = broker.consumer("billing").subscribe(["orders"]).await?;
//! loop {
//!     match consumer.next().await? {
//!         ConsumerEvent::Deliveries(deliveries) => {
//!             for delivery in deliveries {
//!                 println!("{}: {:?}", delivery.position, delivery.content.message());
//!                 consumer.commit(&[delivery.position.next()]).await?; // all below is finished
//!             }
//!         }
//!         ConsumerEvent::Revoked { partitions, .. } => consumer.release(&partitions).await?,
//!         ConsumerEvent::Assigned(_) | ConsumerEvent::Lost(_) | ConsumerEvent::Recovered => {}
//!     }
//! }
//! # }
//! ```
//!
//! Commit about twice a second, not after every message: a group's coordinator answers some 150
//! commits a second. The worker of `mainstay-inbox` does.
//!
//! # Records
//!
//! A message is a `CloudEvents` event in binary mode: key and value of the record are those of the
//! message, everything else is in [headers](crate::cloudevents). Events of other producers are read
//! in the same way. A record that is no event is delivered [raw](crate::broker::Content::Raw). Keys
//! choose partitions as Kafka's Java client does.
//!
//! Offsets have gaps in compacted topics, and where transactions ended. Records of transactions that
//! were aborted are not delivered.
//!
//! # Settings
//!
//! | method of [`Builder`] | default | what it is for |
//! |---|---|---|
//! | `namespace` | none | what stands before all names of topics and groups in the cluster |
//! | `client_id` | `mainstay` | the program's name in Kafka's logs and quotas |
//! | `replication` | the cluster's | replicas of topics that `create_topic` creates |
//! | `max_message_size` | each topic's | for programs that may not read the configuration of topics |
//! | `request_timeout` | 10 s | how long a call waits, and publishing retries, before it is [`Unavailable`](Error::Unavailable) |
//! | `session_timeout` | 6 s | when a member that was killed loses its partitions |
//! | `heartbeat_interval` | a quarter of it, at most 500 ms | how soon the others hear of it |
//! | `revocation_timeout` | 25 s | how long a member may take to give a partition back |
//! | `instance_id` | none | static membership: a restart within the session timeout is no rebalance |
//! | `group_protocol` | cooperative | [`GroupProtocol`]: cooperative, eager, or KIP-848 |
//! | `fetch_records`, `fetch_bytes` | 500, 8 MiB | the size of a delivery |
//! | `read_ahead_bytes` | 32 MiB | memory of a consumer over all partitions |
//! | `setting` | | any other setting of librdkafka |
//!
//! With `kafka-tls` there are also `tls`, `ca_certificates`, `client_certificate`, `scram_sha_256` and
//! `scram_sha_512`.
//!
//! ## After a kill
//!
//! Kafka notices a killed member when its session timeout has passed, and the others hear of it at
//! their next heartbeat. They begin to read after the sum of both, and some ten milliseconds. To go
//! on within two seconds, let the cluster allow short sessions (`group.min.session.timeout.ms=1000`),
//! and set `session_timeout` to 1,400 ms and `heartbeat_interval` to 300 ms. A member that is paused
//! for longer, by a virtual machine that moves for example, loses its partitions; that repeats
//! messages, and loses none. With [`GroupProtocol::Consumer`] the settings are the cluster's:
//! `group.consumer.session.timeout.ms` and `group.consumer.heartbeat.interval.ms`.
//!
//! A [static](Builder::instance_id) member keeps its partitions for the session timeout, whatever
//! happens. Use that where restarts are frequent and a pause of some seconds is acceptable.
//!
//! # Differences from other brokers
//!
//! - A group that adds a topic to its subscription reads it from its beginning, even with
//!   [`StartAt::Latest`](crate::StartAt::Latest): Kafka does not know when the group subscribed.
//! - A group whose offsets have expired (`offsets.retention.minutes`, 7 days without a member) begins
//!   as a new one.
//! - A consumer that is dropped leaves the group in the background.
//!
//! # Failure modes
//!
//! | what fails | what you see | what happens |
//! |---|---|---|
//! | The cluster is away when it is opened. | [`Error::Unavailable`] after `request_timeout` | Open again. |
//! | It is away later. | [`Error::Unavailable`], [`PublishOutcome::Unknown`] | Connections are made again, within a second. |
//! | The credentials are wrong. | [`Error::Refused`] from `open` and `next`; [`PublishOutcome::Unknown`] | Nothing is refused for good: it concerns every message alike. |
//! | The topic is unknown. | [`PublishOutcome::Refused`]; a warning, from a consumer | A consumer waits for the topic. |
//! | The program may not write to the topic. | [`PublishOutcome::Refused`] | Later messages of the key are not tried in this call. |
//! | A message is larger than the topic's `max.message.bytes`. | [`Error::TooLarge`], before it is sent | The same. |
//! | The limit of the topic was lowered meanwhile. | [`PublishOutcome::Unknown`] | The next call knows the new limit. |
//! | The committed offset is not in the log. | [`Error::OffsetOutOfRange`] | The member reads nothing until an operator resets the offset. |
//! | The cluster says by mistake that it is not. | [`Lost`] | The member begins anew where the group has committed. |
//! | A member does not call `next`. | [`Lost`] when it does | Its partitions move after `revocation_timeout` and `session_timeout`. |
//! | Another program has the same `instance_id`. | [`Error::Refused`] | The older one has lost its partitions. |
//!
//! [`PublishOutcome::Unknown`]: crate::broker::PublishOutcome::Unknown
//! [`PublishOutcome::Refused`]: crate::broker::PublishOutcome::Refused
//! [`Lost`]: crate::broker::ConsumerEvent::Lost

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
mod names;
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
