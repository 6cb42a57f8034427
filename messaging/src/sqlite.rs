//! A durable partitioned log in one SQLite file, shared by all processes of a host.
//!
//! An append is one transaction: what [`Publisher::publish`](crate::Publisher::publish) acknowledged is on disk
//! (`synchronous=FULL`), and a batch is there whole or not at all. Consumer groups live in the same file: members
//! hold leases, partitions move cooperatively, and every change of owner raises an epoch that commits check.

mod append;
mod consumer;
mod identity;
mod membership;
mod statements;

use std::{collections::HashMap, sync::Arc, time::Duration};

use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_database::{
    Migration, Migrations, Namespace, Transactions,
    sqlite::{Database, classify},
};
use tokio::sync::{RwLock, watch};
use uuid::Uuid;

use crate::{Error, Group, Partition, StartAt, Topic};
use statements::Statements;

pub use append::LogPublisher;
pub use consumer::LogConsumer;

/// The schema of the log, for those who run migrations themselves.
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
    ],
};

/// Bits of a record's id that hold its offset.
const OFFSET_BITS: u32 = 40;

/// A log in a SQLite file. Clones share its connections and its notifier.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: Uuid,
    database: Database,
    statements: Statements,
    options: Options,
    /// Partition ids by topic; partitions are only ever added with their topic, so this never goes stale.
    topics: RwLock<HashMap<Topic, Arc<[i64]>>>,
    /// Counts appends of this process, so that its consumers need not poll for them.
    notifier: watch::Sender<u64>,
}

/// Settings of a [`Broker`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where its tables live; default: plain names.
    pub namespace: Namespace,
    /// The largest message taken, in bytes of [`Message::size`](crate::Message::size); default 1 MiB.
    pub max_message_size: usize,
    /// How long a member that stopped answering keeps its partitions; default 5 s. Renewed at a third.
    pub lease: Duration,
    /// How long a member may take to give a partition back; default 3 s.
    pub revocation: Duration,
    /// How often the file is looked at for appends of other processes; default 20 ms.
    pub poll_interval: Duration,
    /// Records handed out at once per partition; default 500.
    pub fetch_records: u16,
    /// Bytes handed out at once, over all partitions; the record that exceeds it still comes. Default 8 MiB.
    pub fetch_bytes: usize,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of members, and of a log that is new.
    pub ids: Arc<dyn IdGenerator>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: Namespace::plain(),
            max_message_size: 1024 * 1024,
            lease: Duration::from_secs(5),
            revocation: Duration::from_secs(3),
            poll_interval: Duration::from_millis(20),
            fetch_records: 500,
            fetch_bytes: 8 * 1024 * 1024,
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(SystemIds::new()),
        }
    }
}

impl Broker {
    /// Opens the log in `database` and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::Refused`] when the schema is newer than this build or the file is no database;
    /// [`Error::Unavailable`] when it is busy.
    pub async fn open(database: Database, options: Options) -> Result<Self, Error> {
        database
            .migrate(&MIGRATIONS, &options.namespace)
            .await
            .map_err(sort)?;
        let statements = Statements::new(&options.namespace);
        let id = identity::establish(&database, &statements, &*options.ids).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                id,
                statements,
                database,
                options,
                topics: RwLock::default(),
                notifier: watch::channel(0).0,
            }),
        })
    }

    /// Which log this is: drawn when the log was created, kept in it, the same for every process that opens it.
    ///
    /// A database whose inbox and outbox worked with one log must not go on with another: what was on its way is not
    /// there, and offsets begin anew. Keep the id with the database, and compare it at each start. A copy of the file has the id
    /// of its original; a log that was written before logs had ids gets one when it is opened.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.inner.id
    }

    /// Creates a topic. A topic that is there keeps the partitions it has.
    ///
    /// # Errors
    /// As every operation on the file.
    pub async fn create_topic(&self, topic: &Topic, partitions: u16) -> Result<(), Error> {
        let mut tx = self.inner.database.begin().await.map_err(sort)?;
        sqlx::query(self.inner.statements.create_topic.clone())
            .bind(topic.as_str())
            .bind(partitions)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        self.inner.database.commit(tx).await.map_err(sort)
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

    /// Removes records older than `keep` that every group of their topic has finished, at most `limit` of them,
    /// and says how many. A topic that nobody has read yet keeps everything.
    ///
    /// # Errors
    /// As every operation on the file.
    pub async fn sweep(&self, keep: Duration, limit: u32) -> Result<u64, Error> {
        let Some(horizon) = self.inner.options.clock.now().checked_sub(keep) else {
            return Ok(0); // nothing is that old
        };
        let horizon = crate::envelope::micros_since_epoch(horizon);
        let mut tx = self.inner.database.begin().await.map_err(sort)?;
        let removed = sqlx::query(self.inner.statements.sweep.clone())
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
