//! A partitioned log in memory, with faults on demand.
//!
//! It behaves as a durable broker does, but for the durability: partitions by Kafka's partitioner, groups with
//! leases on the injected clock, cooperative rebalances, epochs that fence commits, redelivery of what was not
//! committed. [`Broker::faults`] makes it refuse, lose answers, fail and drop members, while every contract of
//! [`Publisher`](crate::Publisher) and [`Consumer`](crate::Consumer) holds on. With seeded ids, a
//! [`TokioClock`] and paused time, a run follows from its seed.

mod append;
mod consumer;
mod faults;
mod group;
mod log;
mod notifier;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mainstay_clock::{Clock, IdGenerator, SystemIds, TokioClock};

use crate::{Delivery, Error, Group, Partition, Position, Raw, StartAt, Topic};
use group::Membership;
use log::Log;
use notifier::Notifier;

pub use append::LogPublisher;
pub use consumer::LogConsumer;
pub use faults::{Chances, Faults, Injected};

/// A log in memory. Clones are the same broker; it ends with the last clone, publisher and consumer.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

/// Settings of a [`Broker`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The largest message taken, in bytes of [`Message::size`](crate::Message::size); default 1 MiB.
    pub max_message_size: usize,
    /// How long a member that stopped answering keeps its partitions; default 5 s. Renewed at a third.
    pub lease: Duration,
    /// How long a member may take to give a partition back; default 3 s.
    pub revocation: Duration,
    /// Records handed out at once per partition; default 500.
    pub fetch_records: u16,
    /// Bytes handed out at once, over all partitions; the record that exceeds it still comes. Default 8 MiB.
    pub fetch_bytes: usize,
    /// Time; follows tokio's by default, so that paused time pauses leases.
    pub clock: Arc<dyn Clock>,
    /// Ids of members, and the chance of random faults.
    pub ids: Arc<dyn IdGenerator>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_message_size: 1024 * 1024,
            lease: Duration::from_secs(5),
            revocation: Duration::from_secs(3),
            fetch_records: 500,
            fetch_bytes: 8 * 1024 * 1024,
            clock: Arc::new(TokioClock::default()),
            ids: Arc::new(SystemIds::new()),
        }
    }
}

#[derive(Debug)]
struct Inner {
    options: Options,
    state: Mutex<State>,
    faults: Faults,
    /// Counts what consumers want to know at once: appends, changes of membership, faults.
    notifier: Arc<Notifier>,
}

#[derive(Default, Debug)]
struct State {
    log: Log,
    groups: BTreeMap<Group, Membership>,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Broker {
    /// An empty log.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let notifier = Arc::<Notifier>::default();
        Self {
            inner: Arc::new(Inner {
                faults: Faults::new(Arc::clone(&options.ids), Arc::clone(&notifier)),
                options,
                state: Mutex::default(),
                notifier,
            }),
        }
    }

    /// Creates a topic. A topic that is there keeps the partitions it has.
    ///
    /// # Errors
    /// [`Error::Unavailable`] during an outage.
    #[expect(clippy::unused_async, reason = "the shape that all brokers share")]
    pub async fn create_topic(&self, topic: &Topic, partitions: u16) -> Result<(), Error> {
        self.inner.faults.reach()?;
        self.inner.state().log.create(topic, partitions);
        Ok(())
    }

    /// A publisher that appends to this log.
    #[must_use]
    pub fn publisher(&self) -> LogPublisher {
        LogPublisher::new(Arc::clone(&self.inner))
    }

    /// A new member of `group` that reads `topics`. A group that is new to a topic starts at `start_at`.
    #[must_use]
    pub fn consumer(&self, group: Group, topics: &[Topic], start_at: StartAt) -> LogConsumer {
        LogConsumer::new(Arc::clone(&self.inner), group, topics, start_at)
    }

    /// How far each partition of the topics that `group` reads has come: (partition, committed, end of the log).
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

    /// What a partition holds from `offset` on, whoever has read it, as it is now: for those who judge a run.
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

    /// Appends a record that is not a message of ours, as another system's producer would; it is delivered raw.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`] when there is no such partition.
    pub fn append_raw(&self, partition: &Partition, record: Raw) -> Result<(), Error> {
        self.inner.state().log.append_raw(partition, record)?;
        self.inner.ring();
        Ok(())
    }

    /// Removes the records of a partition below `offset`, read or not, as a broker's retention does: a group
    /// that has not come so far stops with [`Error::OffsetOutOfRange`].
    pub fn truncate(&self, partition: &Partition, offset: i64) {
        self.inner.state().log.truncate(partition, offset);
        self.inner.ring();
    }

    /// What shall go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }
}

impl Inner {
    /// Nothing in here panics while it holds the lock, so a poisoned one is as good as new.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.notifier.ring();
    }
}
