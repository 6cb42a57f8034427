//! A partitioned log in memory, with faults on demand.
//!
//! It behaves as a durable broker does: partitions by Kafka's partitioner, groups with leases on
//! the injected clock, cooperative rebalances, epochs of assignments, redelivery of uncommitted
//! records. Only durability is missing. [`Broker::faults`] makes it refuse, lose answers, fail and
//! drop members, while every contract of [`Publisher`](crate::Publisher) and
//! [`Consumer`](crate::Consumer) holds. With seeded ids and paused time, a run follows from its
//! seed.

mod append;
mod builder;
mod consumer;
mod faults;
mod group;
mod log;
mod notifier;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Delivery, Error, Group, InvalidName, Partition, Position, Topic,
    broker::{ConsumerBuilder, Raw, builder::some_partitions},
};
use builder::Settings;
use group::Membership;
use log::Log;
use notifier::Notifier;

pub use append::LogPublisher;
pub use builder::Builder;
pub use consumer::LogConsumer;
pub use faults::{Chances, Faults, Injected};

/// A log in memory. Clones are the same broker; it ends with the last clone, publisher and
/// consumer.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    state: Mutex<State>,
    faults: Faults,
    /// Wakes consumers after appends, changes of membership and faults.
    notifier: Arc<Notifier>,
}

#[derive(Default, Debug)]
struct State {
    log: Log,
    groups: BTreeMap<Group, Membership>,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

impl Broker {
    /// An empty log with default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An empty log with settings of its own.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Creates a topic of 1 to 65,535 partitions. A topic that exists keeps those it has.
    ///
    /// # Errors
    /// [`Error::Unavailable`] during an outage; [`Error::InvalidName`], [`Error::OutOfLimits`].
    #[expect(clippy::unused_async, reason = "the shape that all brokers share")]
    pub async fn create_topic(
        &self,
        topic: impl TryInto<Topic, Error: Into<InvalidName>>,
        partitions: u16,
    ) -> Result<(), Error> {
        let topic = topic.try_into().map_err(Into::into)?;
        let partitions = some_partitions(partitions)?;
        self.inner.faults.reach()?;
        self.inner.state().log.create(&topic, partitions);
        Ok(())
    }

    /// A publisher that appends to this log.
    #[must_use]
    pub fn publisher(&self) -> LogPublisher {
        LogPublisher::new(Arc::clone(&self.inner))
    }

    /// A new member of `group`, which reads what it subscribes to.
    pub fn consumer(
        &self,
        group: impl TryInto<Group, Error: Into<InvalidName>>,
    ) -> ConsumerBuilder<Self> {
        ConsumerBuilder::new(self.clone(), group)
    }

    /// The progress of `group` in each partition of its topics: (partition, committed offset, end
    /// of the log).
    ///
    /// # Errors
    /// [`Error::Unavailable`] during an outage.
    #[expect(clippy::unused_async, reason = "the shape that all brokers share")]
    pub async fn progress(&self, group: &Group) -> Result<Vec<(Partition, i64, i64)>, Error> {
        self.inner.faults.reach()?;
        let state = self.inner.state();
        Ok(state.groups.get(group).map_or_else(Vec::new, |membership| {
            membership.progress(&state.log).collect()
        }))
    }

    /// Every partition of every topic.
    #[must_use]
    pub fn partitions(&self) -> Vec<Partition> {
        self.inner.state().log.all().collect()
    }

    /// The records of a partition from `offset` on, read or not: for checks of a run.
    #[must_use]
    pub fn records(&self, partition: &Partition, offset: i64) -> Vec<Delivery> {
        let state = self.inner.state();
        let records = state.log.read(partition, offset, u16::MAX);
        let delivery = |(offset, content)| Delivery {
            position: Position {
                partition: partition.clone(),
                offset,
            },
            content,
        };
        records.map(delivery).collect()
    }

    /// Appends a record that is no message, as another system's producer would. It is delivered
    /// raw.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`] when there is no such partition.
    pub fn append_raw(&self, partition: &Partition, record: Raw) -> Result<(), Error> {
        self.inner.state().log.append_raw(partition, record)?;
        self.inner.notify();
        Ok(())
    }

    /// Removes the records of a partition below `offset`, read or not, as a broker's retention
    /// does. A group whose offset is below stops with [`Error::OffsetOutOfRange`].
    pub fn truncate(&self, partition: &Partition, offset: i64) {
        self.inner.state().log.truncate(partition, offset);
        self.inner.notify();
    }

    /// Faults to inject.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }
}

impl ConsumerBuilder<Broker> {
    /// Joins the group, to read `topics`. A topic may be created later.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for the group or a topic.
    #[expect(clippy::unused_async, reason = "the shape that all brokers share")]
    pub async fn subscribe<T>(
        self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<LogConsumer, Error>
    where
        T: TryInto<Topic, Error: Into<InvalidName>>,
    {
        let (broker, subscription) = self.subscription(topics)?;
        Ok(LogConsumer::new(broker.inner, subscription))
    }
}

impl Inner {
    /// Nothing in here panics while it holds the lock, so a poisoned one is as good as new.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.notifier.notify();
    }
}
