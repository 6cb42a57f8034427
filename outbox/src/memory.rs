//! The outbox in memory, as it behaves on PostgreSQL: for tests and simulations.
//!
//! Positions are drawn from a sequence before commit, so they become visible in the order of commits and leave gaps
//! that fill later or never. Leases are decided by the database's clock. One outbox per database.

mod records;
mod rows;
mod shards;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::{
    Transactions,
    memory::{Connection, Database, Inserted},
};
use mainstay_messaging::{Message, MessageId};

use crate::{
    Content, Doorbell, Enqueued, Entry, Error, Fetched, HASH, Hold, Limit, Outbox, Outcome,
    RelayStore, due::later, shard_of,
};
use records::{EnqueueKeyRow, HeldRow, LayoutRow, LogRow, ShardRow};

/// An outbox in an in-memory database. Clones share its doorbell.
#[derive(Clone, Debug)]
pub struct MemoryOutbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    options: Options,
    doorbell: Doorbell,
}

/// What an outbox holds at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Look {
    /// The shards and ids of what is not yet published: the log, then the side table. Something unreadable has no id.
    pub rows: Vec<(u16, Option<MessageId>)>,
    /// The shards with their fences, and who owns them.
    pub owners: Vec<(Hold, Option<String>)>,
}

/// Settings of a [`MemoryOutbox`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How many relays can share the work; default 1. Written into the tables: it cannot be changed later.
    pub shards: u16,
    /// The largest message taken, in bytes of [`Message::size`]; default 1 MiB.
    pub max_message_size: usize,
    /// How long an [enqueue key](crate::EnqueueKey) is remembered; default 7 days.
    pub enqueue_key_retention: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 1,
            max_message_size: 1024 * 1024,
            enqueue_key_retention: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl MemoryOutbox {
    /// Opens the outbox in `database`, creating its tables.
    ///
    /// # Errors
    /// [`Error::OtherLayout`] when the tables were laid out with another number of shards.
    pub async fn open(database: Database, options: Options) -> Result<Self, Error> {
        let outbox = Self {
            inner: Arc::new(Inner {
                database,
                options,
                doorbell: Doorbell::default(),
            }),
        };
        outbox.inner.agree_on_layout().await?;
        Ok(outbox)
    }

    /// Rows of the log and of the side table, as a new transaction sees them.
    ///
    /// # Errors
    /// [`Error::Database`] when a fault was asked for.
    pub async fn rows(&self) -> Result<(usize, usize), Error> {
        let mut tx = self.inner.database.begin().await?;
        let statement = tx.statement().await?;
        Ok((
            statement.scan::<LogRow>(..).len(),
            statement.scan::<HeldRow>(..).len(),
        ))
    }

    /// What is committed at this moment, past all faults: for those who judge a run.
    #[must_use]
    pub fn look(&self) -> Look {
        let database = &self.inner.database;
        let log = database.committed::<LogRow>().into_iter();
        let id = |content: &Content| match content {
            Content::Message(message) => Some(message.id.clone()),
            Content::Unreadable(_) => None,
        };
        let log = log.map(|row| (row.shard, id(&row.content)));
        let held = database.committed::<HeldRow>().into_iter();
        let held = held.map(|row| (row.shard, id(&row.content)));
        let shards = database.committed::<ShardRow>().into_iter();
        let owner = |row: Arc<ShardRow>| {
            let (shard, fence) = (row.shard, row.fence);
            (Hold { shard, fence }, row.owner.clone())
        };
        Look {
            rows: log.chain(held).collect(),
            owners: shards.map(owner).collect(),
        }
    }

    /// Damages a stored message, so that relays find it unreadable: a fault for tests. Says whether it was there.
    ///
    /// # Errors
    /// [`Error::Database`] when another fault was asked for.
    pub async fn damage(&self, id: &MessageId) -> Result<bool, Error> {
        let mut tx = self.inner.database.begin().await?;
        let mut statement = tx.statement().await?;
        let is_it = |row: &LogRow| matches!(&row.content, Content::Message(m) if m.id == *id);
        let Some(row) = statement.select(.., 1, is_it).pop() else {
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

impl Inner {
    async fn agree_on_layout(&self) -> Result<(), Error> {
        let shards = self.options.shards.max(1);
        let mut tx = self.database.begin().await?;
        let layout = LayoutRow { shards };
        let laid_out = tx.statement().await?.insert(layout).await?;
        if laid_out == Inserted::Exists {
            let stored = tx.statement().await?.get::<LayoutRow>(&());
            return match stored.map_or(shards, |layout| layout.shards) {
                stored if stored == shards => Ok(()),
                stored => Err(Error::OtherLayout {
                    stored,
                    stored_hash: HASH.to_owned(),
                    configured: shards,
                    configured_hash: HASH,
                }),
            };
        }
        let mut statement = tx.statement().await?;
        for shard in 0..shards {
            let row = ShardRow {
                shard,
                owner: None,
                fence: 0,
            };
            let _: Inserted = statement.insert(row).await?;
        }
        drop(statement);
        Ok(self.database.commit(tx).await?)
    }

    fn check_size(&self, message: &Message) -> Result<(), Error> {
        let (size, limit) = (message.size(), self.options.max_message_size);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
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
            self.inner.check_size(entry.message())?;
        }
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut statement = connection.statement().await?;
            if let Some(key) = entry.enqueue_key() {
                let row = EnqueueKeyRow {
                    enqueue_key: key.clone(),
                    used_at: statement.now(),
                };
                if statement.insert(row).await? == Inserted::Exists {
                    answers.push(Enqueued::AlreadyThere);
                    continue;
                }
            }
            let message = entry.message();
            let (shard, lane) = (
                shard_of(message, self.inner.options.shards),
                message.key.clone().map(|key| (message.topic.clone(), key)),
            );
            let content = Content::Message(message.clone());
            let _: Inserted = match entry.delay() {
                None => {
                    let row = LogRow {
                        position: statement.next_value("outbox"),
                        shard,
                        lane,
                        content,
                    };
                    statement.insert(row).await?
                }
                Some(delay) => {
                    let row = HeldRow {
                        position: statement.next_value("outbox_held"),
                        shard,
                        lane,
                        content,
                        stopped: false,
                        due_at: later(statement.now(), delay),
                        attempts: 0,
                        reason: None,
                    };
                    statement.insert(row).await?
                }
            };
            answers.push(Enqueued::Added);
        }
        self.inner.doorbell.arm();
        Ok(answers)
    }

    fn ring(&self) {
        self.inner.doorbell.ring();
    }
}

#[async_trait]
impl RelayStore for MemoryOutbox {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<Hold>, Error> {
        self.inner.lease(owner, lease).await
    }

    async fn fetch(&self, holds: &[Hold], limit: Limit) -> Result<Fetched, Error> {
        self.inner.fetch(holds, limit).await
    }

    async fn record(&self, holds: &[Hold], outcome: &Outcome) -> Result<(), Error> {
        self.inner.record(holds, outcome).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.inner.release(owner).await
    }

    fn doorbell(&self) -> Option<&Doorbell> {
        Some(&self.inner.doorbell)
    }
}
