//! The outbox in memory, which behaves as on PostgreSQL: for tests and simulations.
//!
//! Positions are drawn from a sequence before the commit. They become visible in the order of commits
//! and leave gaps that fill later or never. The database's clock decides leases and delays. There is
//! one outbox per database.

mod operator;
mod records;
mod rows;
mod shards;

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::{
    commits::CommitListener,
    memory::{Connection, Database, Inserted},
};
use mainstay_messaging::{Key, Message, MessageId, Topic};

use crate::{
    Enqueued, Entry, Error, Outbox, OutboxBuilder,
    builder::Settings,
    delay::later,
    store::{
        Content, FencingToken, Fetched, Limit, Notifier, Origin, Outcome, RelayStore, RowRef,
        SHARD_HASH, ShardLease, shard_of,
    },
};
use records::{DeduplicationKeyRow, DeferredRow, LayoutRow, LogRow, ShardRow};

/// An outbox in an in-memory database. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryOutbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    settings: Settings,
    origin: Origin,
    notifier: Notifier,
}

/// The committed contents of an outbox at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Shards and ids of what is not yet published: the log, then the deferred table. An unreadable
    /// message has no id.
    pub rows: Vec<(u16, Option<MessageId>)>,
    /// The shards with their fencing tokens and their owners.
    pub owners: Vec<(ShardLease, Option<String>)>,
}

impl MemoryOutbox {
    /// Starts to open the outbox in `database`.
    pub fn builder(database: impl Into<Database>) -> OutboxBuilder<Database> {
        OutboxBuilder::new(database.into())
    }

    /// Numbers of rows in the log and in the deferred table, as a new transaction sees them.
    ///
    /// # Errors
    /// [`Error::Database`] when a fault of the database was requested.
    pub async fn rows(&self) -> Result<(usize, usize), Error> {
        let mut tx = self.inner.database.begin().await?;
        let statement = tx.statement().await?;
        Ok((
            statement.scan::<LogRow>(..).len(),
            statement.scan::<DeferredRow>(..).len(),
        ))
    }

    /// The committed contents at this moment, unaffected by faults; for checks of simulations.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let database = &self.inner.database;
        let log = database.committed::<LogRow>().into_iter();
        let id = |content: &Content| match content {
            Content::Message(message) => Some(message.id.clone()),
            Content::Unreadable(_) => None,
        };
        let log = log.map(|row| (row.shard, id(&row.content)));
        let deferred = database.committed::<DeferredRow>().into_iter();
        let deferred = deferred.map(|row| (row.shard, id(&row.content)));
        let shards = database.committed::<ShardRow>().into_iter();
        let owner = |row: Arc<ShardRow>| (row.lease(), row.owner.clone());
        Snapshot {
            rows: log.chain(deferred).collect(),
            owners: shards.map(owner).collect(),
        }
    }

    /// Damages a stored message so that relays cannot read it; a fault for tests. Returns whether
    /// the message was there.
    ///
    /// # Errors
    /// [`Error::Database`] when a fault of the database was requested.
    pub async fn damage(&self, id: &MessageId) -> Result<bool, Error> {
        let mut tx = self.inner.database.begin().await?;
        let mut statement = tx.statement().await?;
        let matches = |row: &LogRow| matches!(&row.content, Content::Message(m) if m.id == *id);
        let Some(row) = statement.select(.., 1, matches).pop() else {
            return Ok(false);
        };
        let damaged = statement
            .update(&row.position, |row: &mut LogRow| {
                row.content = Content::Unreadable("damaged on purpose".to_owned());
                true
            })
            .await?;
        drop(statement);
        self.inner.database.commit(tx).await?;
        Ok(damaged)
    }
}

impl OutboxBuilder<Database> {
    /// Opens the outbox and creates its tables if they are missing.
    ///
    /// # Errors
    /// [`Error::LayoutMismatch`] when the tables were created with another number of shards.
    pub async fn open(self) -> Result<MemoryOutbox, Error> {
        let (database, settings, origin) = self.finish()?;
        let inner = Arc::new(Inner {
            notifier: Notifier::new(Arc::clone(origin.clock())),
            database,
            settings,
            origin,
        });
        inner.agree_on_layout().await?;
        let listener: Weak<Inner> = Arc::downgrade(&inner);
        inner.database.on_commit(listener);
        Ok(MemoryOutbox { inner })
    }
}

impl Inner {
    async fn agree_on_layout(&self) -> Result<(), Error> {
        let shards = self.settings.shards;
        let mut tx = self.database.begin().await?;
        let inserted = tx.statement().await?.insert(LayoutRow { shards }).await?;
        if inserted == Inserted::Exists {
            let stored = tx.statement().await?.get::<LayoutRow>(&());
            let stored = stored.map_or(shards, |layout| layout.shards);
            return self.settings.check_layout(stored, SHARD_HASH.to_owned());
        }
        let mut statement = tx.statement().await?;
        for shard in 0..shards {
            let row = ShardRow {
                shard,
                owner: None,
                fence: FencingToken::new(0),
            };
            let _: Inserted = statement.insert(row).await?;
        }
        drop(statement);
        Ok(self.database.commit(tx).await?)
    }
}

impl CommitListener for Inner {
    fn committed(&self) {
        self.notifier.committed();
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    type Connection = Connection;

    async fn enqueue_batch(
        &self,
        connection: &mut Connection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error> {
        for entry in entries {
            self.inner.settings.check_size(entry.message())?;
        }
        let mut results = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut statement = connection.statement().await?;
            if let Some(key) = entry.deduplication_key() {
                let row = DeduplicationKeyRow {
                    deduplication_key: key.clone(),
                    used_at: statement.now(),
                };
                if statement.insert(row).await? == Inserted::Exists {
                    results.push(Enqueued::Duplicate);
                    continue;
                }
            }
            let message = entry.message();
            let (shard, ordering_key) = (
                shard_of(message, self.inner.settings.shards),
                ordering_key(message),
            );
            let content = Content::Message(message.clone());
            let _: Inserted = match entry.delay() {
                None => {
                    let row = LogRow {
                        position: statement.next_value("outbox"),
                        shard,
                        ordering_key,
                        content,
                    };
                    statement.insert(row).await?
                }
                Some(delay) => {
                    let row = DeferredRow {
                        position: statement.next_value("outbox_deferred"),
                        shard,
                        ordering_key,
                        content,
                        blocked: false,
                        due_at: later(statement.now(), delay),
                        attempts: 0,
                        reason: None,
                    };
                    statement.insert(row).await?
                }
            };
            results.push(Enqueued::Added);
        }
        self.inner.notifier.arm();
        Ok(results)
    }

    fn notify(&self) {
        self.inner.notifier.notify();
    }

    fn origin(&self) -> &Origin {
        &self.inner.origin
    }
}

fn ordering_key(message: &Message) -> Option<(Topic, Key)> {
    let key = message.key.clone()?;
    Some((message.topic.clone(), key))
}

#[async_trait]
impl RelayStore for MemoryOutbox {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        self.inner.lease(owner, lease).await
    }

    async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        self.inner.fetch(leases, limit, in_flight).await
    }

    async fn record(&self, leases: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        self.inner.record(leases, outcome).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.inner.release(owner).await
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.inner.notifier)
    }
}
