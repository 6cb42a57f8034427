//! A durable partitioned log in one SQLite file, shared by all processes of a host.
//!
//! An append is one transaction: a batch is stored whole or not at all, and
//! [acknowledged](crate::Publisher::publish) messages are on disk (`synchronous=FULL`). Consumer
//! groups are in the same file: members hold leases, partitions move cooperatively, and commits
//! check the epoch of the assignment.
//!
//! ```no_run
//! # async fn open() -> Result<(), mainstay_messaging::Error> {
//! use mainstay_messaging::sqlite::Broker;
//!
//! let broker = Broker::open("log.db").await?;
//! broker.create_topic("orders", 4).await?;
//! # Ok(()) }
//! ```

mod append;
mod builder;
mod consumer;
mod identity;
mod membership;
mod statements;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mainstay_clock::Monotonic;
use mainstay_database::{
    Migration, Migrations,
    sqlite::{Database, classify},
};
use tokio::sync::{RwLock, watch};
use uuid::Uuid;

use crate::{
    Error, Group, InvalidName, Partition, Topic,
    broker::{ConsumerBuilder, builder::some_partitions},
};
use builder::{File, Settings};
use statements::Statements;

pub use append::LogPublisher;
pub use builder::Builder;
pub use consumer::LogConsumer;

/// The schema of the log, for [`Builder::open_without_migrating`].
pub const MIGRATIONS: Migrations = Migrations {
    component: "broker",
    steps: &[
        Migration {
            name: "0001_log",
            sql: include_str!("../migrations/sqlite/0001_log.sql"),
        },
        Migration {
            name: "0002_identity",
            sql: include_str!("../migrations/sqlite/0002_identity.sql"),
        },
        Migration {
            name: "0003_subscriptions",
            sql: include_str!("../migrations/sqlite/0003_subscriptions.sql"),
        },
    ],
};

/// Bits of a record's id that hold its offset. The other 23 hold the id of its partition.
const OFFSET_BITS: u32 = 40;

const MAX_PARTITIONS: i64 = (1 << (63 - OFFSET_BITS)) - 1;

/// A log in a SQLite file. Clones share its connections, and wake each other's consumers.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: Uuid,
    database: Database,
    statements: Statements,
    settings: Settings,
    /// Partition ids by topic; partitions are only ever added with their topic, so this never goes
    /// stale.
    topics: RwLock<HashMap<Topic, Arc<[i64]>>>,
    /// What is known to have been appended; wakes the consumers of this broker.
    appends: watch::Sender<Ends>,
    /// When a consumer of this broker looks for what other processes have appended; none = now.
    next_look: Mutex<Option<Monotonic>>,
}

/// Offsets behind the last record, by the id of the partition.
type Ends = BTreeMap<i64, i64>;

impl Broker {
    /// Opens the log in the file at `path`, creating both if they are missing, with default
    /// settings.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::builder(path).open().await
    }

    /// A log in the file at `path`.
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder::new(File::Path(path.into()))
    }

    /// A log in a file that this process has opened, beside other tables.
    pub fn builder_on(database: impl Into<Database>) -> Builder {
        Builder::new(File::Open(database.into()))
    }

    /// The identity of the log: drawn at its creation, the same for every process that opens it.
    ///
    /// A database whose inbox and outbox worked with one log must not continue with another:
    /// messages on their way are missing, and offsets begin anew. Keep the id in the database, and
    /// compare it at each start. A copy of the file has the id of its original.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.inner.id
    }

    /// Creates a topic of 1 to 65,535 partitions. A topic that exists keeps those it has. All topics
    /// of a file have 8,388,607 partitions at most.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file is busy; [`Error::InvalidName`], [`Error::OutOfLimits`].
    pub async fn create_topic(
        &self,
        topic: impl TryInto<Topic, Error: Into<InvalidName>>,
        partitions: u16,
    ) -> Result<(), Error> {
        let topic: Topic = topic.try_into().map_err(Into::into)?;
        let partitions = some_partitions(partitions)?;
        let mut tx = self.inner.database.begin().await.map_err(sort)?;
        sqlx::query(self.inner.statements.create_topic.clone())
            .bind(topic.as_str())
            .bind(partitions.get())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        let highest: i64 = sqlx::query_scalar(self.inner.statements.highest_partition.clone())
            .fetch_one(&mut *tx)
            .await
            .map_err(driver)?;
        if highest > MAX_PARTITIONS {
            return Err(Error::OutOfLimits {
                what: "the number of partitions of all topics",
                given: highest.unsigned_abs(),
                limit: "8388607 or less",
            });
        }
        self.inner.database.commit(tx).await.map_err(sort)
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
    /// As every operation on the file.
    pub async fn progress(&self, group: &Group) -> Result<Vec<(Partition, i64, i64)>, Error> {
        let rows: Vec<(String, i32, i64, i64)> =
            sqlx::query_as(self.inner.statements.progress.clone())
                .bind(group.as_str())
                .fetch_all(self.inner.database.reader())
                .await
                .map_err(driver)?;
        rows.into_iter()
            .map(|(topic, number, committed, next)| {
                let topic = Topic::new(topic).map_err(|error| Error::Refused(error.into()))?;
                Ok((Partition { topic, number }, committed, next))
            })
            .collect()
    }

    /// Removes at most `limit` records that are older than `keep` and finished by every group of
    /// their topic. Returns how many. A topic without groups keeps everything.
    ///
    /// # Errors
    /// As every operation on the file.
    pub async fn prune(&self, keep: Duration, limit: u32) -> Result<u64, Error> {
        let Some(horizon) = self.inner.settings.clock.now().checked_sub(keep) else {
            return Ok(0); // nothing is that old
        };
        let horizon = crate::envelope::micros_since_epoch(horizon);
        let mut tx = self.inner.database.begin().await.map_err(sort)?;
        let removed = sqlx::query(self.inner.statements.prune.clone())
            .bind(horizon)
            .bind(limit)
            .execute(&mut *tx)
            .await
            .map_err(driver)?
            .rows_affected();
        sqlx::query(self.inner.statements.raise_first.clone())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        self.inner.database.commit(tx).await.map_err(sort)?;
        Ok(removed)
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
    /// Ids of a topic's partitions by number; none = the topic does not exist.
    async fn partitions(&self, topic: &Topic) -> Result<Option<Arc<[i64]>>, Error> {
        if let Some(known) = self.topics.read().await.get(topic) {
            return Ok(Some(Arc::clone(known)));
        }
        let ids: Vec<i64> = sqlx::query_scalar(self.statements.partitions.clone())
            .bind(topic.as_str())
            .fetch_all(self.database.reader())
            .await
            .map_err(driver)?;
        if ids.is_empty() {
            return Ok(None);
        }
        let ids: Arc<[i64]> = ids.into();
        self.topics
            .write()
            .await
            .insert(topic.clone(), Arc::clone(&ids));
        Ok(Some(ids))
    }

    /// Looks for what other processes have appended, unless another consumer of this broker has looked
    /// within the interval. Returns when to look again.
    async fn look_for_appends(&self, now: Monotonic) -> Result<Monotonic, Error> {
        let next = now + self.settings.poll_interval;
        let others = self.with_next_look(|next_look| {
            let others = next_look.filter(|others| !others.has_passed_at(now));
            *next_look = others.or(Some(next));
            others
        });
        if let Some(others) = others {
            return Ok(others);
        }
        let ends = sqlx::query_as(self.statements.ends.clone())
            .fetch_all(self.database.reader())
            .await;
        match ends {
            Ok(ends) => self.note(ends),
            Err(error) => {
                // The other consumers see for themselves.
                self.with_next_look(|next_look| *next_look = None);
                return Err(driver(error));
            }
        }
        Ok(next)
    }

    fn with_next_look<T>(&self, change: impl FnOnce(&mut Option<Monotonic>) -> T) -> T {
        // Every change is complete: a panic elsewhere cannot have left half of one.
        let mut next_look = (self.next_look.lock()).unwrap_or_else(PoisonError::into_inner);
        change(&mut next_look)
    }

    /// Notes where partitions end, and wakes consumers if that is news. An end never moves back:
    /// answers may come in another order than the commits.
    fn note(&self, ends: Vec<(i64, i64)>) {
        self.appends.send_if_modified(|known| {
            let mut is_news = false;
            for (partition, end) in ends {
                let known = known.entry(partition).or_default();
                is_news |= *known < end;
                *known = end.max(*known);
            }
            is_news
        });
    }
}

fn driver(error: sqlx::Error) -> Error {
    sort(classify(error))
}

fn sort(error: mainstay_database::Error) -> Error {
    if error.is_retryable() {
        Error::Unavailable(error.into())
    } else {
        Error::Refused(error.into())
    }
}
