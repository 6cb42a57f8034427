//! Records in the in-memory database, and leases in memory.
//!
//! The records behave as those on PostgreSQL do without the advisory lock: two transactions may
//! begin one key, the later one waits when it completes, and is refused.

mod leases;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record};

use crate::{
    Answer, Begun, Claim, Error, Fingerprint, Key, KeyedRequest, Records, Settled,
    found::{Found, begun_batch},
    lifetime::LIFETIME,
    store::RecordStore,
    sweep::Sweep,
};

pub use leases::{MemoryLeases, MemoryLeasesBuilder};

/// Records in an in-memory database. Clones share everything.
#[derive(Clone, Debug)]
pub struct MemoryRecords {
    database: Database,
    lifetime: Duration,
}

impl MemoryRecords {
    /// Configures records in `database`; `build` them then.
    pub fn builder(database: impl Into<Database>) -> MemoryRecordsBuilder {
        MemoryRecordsBuilder {
            database: database.into(),
            lifetime: LIFETIME,
        }
    }
}

/// Configures [`MemoryRecords`].
#[derive(Clone, Debug)]
#[must_use = "call build() to make the records"]
pub struct MemoryRecordsBuilder {
    database: Database,
    lifetime: Duration,
}

impl MemoryRecords {
    /// How many records are committed at this moment, expired or not. Not subject to faults.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.database.committed::<Row>().len()
    }
}

impl MemoryRecordsBuilder {
    /// How long an answer is kept and given again; default 24 h.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The records.
    #[must_use]
    pub fn build(self) -> MemoryRecords {
        MemoryRecords {
            database: self.database,
            lifetime: self.lifetime,
        }
    }
}

/// The answer to a request.
#[derive(Clone, Debug)]
struct Row {
    key: Key,
    fingerprint: Fingerprint,
    answer: Answer,
    expires_at: SystemTime,
}

impl Record for Row {
    const TABLE: &'static str = "idempotency_records";
    type Key = Key;

    fn key(&self) -> Key {
        self.key.clone()
    }
}

#[async_trait]
impl Records for MemoryRecords {
    type Connection = Connection;

    async fn begin_batch(
        &self,
        connection: &mut Connection,
        requests: &[&KeyedRequest],
    ) -> Result<Vec<Begun<Claim>>, Error> {
        // One statement has one snapshot.
        let statement = connection.statement().await?;
        let now = statement.now();
        let found = requests.iter().map(|request| {
            let row = statement.get::<Row>(&request.key);
            match row.filter(|row| row.expires_at > now) {
                None => Found::Nothing { is_expired: false },
                Some(row) if row.fingerprint != request.fingerprint => {
                    Found::Settled(Settled::Mismatch)
                }
                Some(row) => Found::Settled(Settled::Done(row.answer)),
            }
        });
        Ok(begun_batch(requests, found))
    }

    async fn complete_batch(
        &self,
        connection: &mut Connection,
        completions: Vec<(Claim, &Answer)>,
    ) -> Result<(), Error> {
        for (claim, answer) in completions {
            let mut statement = connection.statement().await?;
            let now = statement.now();
            let KeyedRequest { key, fingerprint } = claim.request().clone();
            let row = Row {
                key: key.clone(),
                fingerprint,
                answer: answer.clone(),
                expires_at: now + self.lifetime,
            };
            if statement.insert(row.clone()).await? == Inserted::New {
                continue;
            }
            let replace = |old: &mut Row| {
                let has_expired = old.expires_at <= now;
                if has_expired {
                    *old = row.clone();
                }
                has_expired
            };
            if !statement.update(&key, replace).await? {
                return Err(Error::Conflict { key });
            }
        }
        Ok(())
    }
}

impl RecordStore for MemoryRecords {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl Sweep for MemoryRecords {
    async fn sweep(&self, limit: u32) -> Result<u64, Error> {
        use mainstay_database::memory::{Locked, Strength, Wait};
        let mut tx = self.database.begin().await?;
        let mut statement = tx.statement().await?;
        let now = statement.now();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let expired = statement.select::<Row>(.., limit, |row| row.expires_at <= now);
        let mut swept = 0;
        for row in expired {
            // A record that a transaction is replacing belongs to a key that is being processed.
            let locked = statement
                .lock::<Row>(&row.key, Strength::Update, Wait::SkipLocked)
                .await?;
            if let Locked::Row(row) = locked
                && row.expires_at <= now
            {
                let is_gone = statement.delete(&row.key, |_: &Row| true).await?;
                swept += u64::from(is_gone);
            }
        }
        drop(statement);
        self.database.commit(tx).await?;
        Ok(swept)
    }
}
