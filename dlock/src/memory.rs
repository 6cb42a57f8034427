//! Leases and fences in memory, for tests and simulations. The database's clock decides leases.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record};

use crate::{
    Error, Fences, FencingToken,
    store::{Acquired, Claim, Holding, LeaseStore},
};

/// Leases in an in-memory database. Clones share them.
#[derive(Clone, Debug)]
pub struct MemoryLeases {
    database: Database,
}

/// Fences in an in-memory database. Clones share them.
#[derive(Clone, Debug)]
pub struct MemoryFences {
    _database: Database,
}

/// Opens [`MemoryLeases`].
#[derive(Clone, Debug)]
#[must_use = "call open()"]
pub struct LeasesBuilder(Database);

/// Opens [`MemoryFences`].
#[derive(Clone, Debug)]
#[must_use = "call open()"]
pub struct FencesBuilder(Database);

impl MemoryLeases {
    /// Starts to open the leases in `database`.
    pub fn builder(database: impl Into<Database>) -> LeasesBuilder {
        LeasesBuilder(database.into())
    }
}

impl MemoryFences {
    /// Starts to open the fences in `database`.
    pub fn builder(database: impl Into<Database>) -> FencesBuilder {
        FencesBuilder(database.into())
    }
}

impl LeasesBuilder {
    /// Opens the leases.
    ///
    /// # Errors
    /// None; as the other stores have them.
    #[expect(clippy::unused_async, reason = "as the other stores")]
    pub async fn open(self) -> Result<MemoryLeases, Error> {
        Ok(MemoryLeases { database: self.0 })
    }
}

impl FencesBuilder {
    /// Opens the fences.
    ///
    /// # Errors
    /// None; as the other stores have them.
    #[expect(clippy::unused_async, reason = "as the other stores")]
    pub async fn open(self) -> Result<MemoryFences, Error> {
        Ok(MemoryFences { _database: self.0 })
    }
}

/// A lock that is held, or was until its lease ended.
#[derive(Clone, Debug)]
struct LeaseRow {
    name: String,
    owner: String,
    fence: i64,
    lease_until: SystemTime,
}

impl Record for LeaseRow {
    const TABLE: &'static str = "dlock_leases";
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// The last token that was granted, for any lock: released rows can be deleted.
#[derive(Clone, Debug)]
struct CounterRow {
    fence: i64,
}

impl Record for CounterRow {
    const TABLE: &'static str = "dlock_counter";
    type Key = ();

    fn key(&self) {}
}

/// The newest token that was accepted for a lock.
#[derive(Clone, Debug)]
struct FenceRow {
    name: String,
    fence: i64,
}

impl Record for FenceRow {
    const TABLE: &'static str = "dlock_fences";
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        let Claim {
            holding: Holding { name, owner },
            lease,
            above,
        } = claim;
        let mut tx = self.database.begin().await?;
        // Its row's lock makes grants take turns, so tokens are granted in the order in which they are drawn.
        let mut drawn = above.as_i64() + 1;
        let counter = CounterRow { fence: drawn };
        let raise = |row: &mut CounterRow| {
            drawn = above.as_i64().max(row.fence) + 1;
            row.fence = drawn;
        };
        let _: Inserted = tx.statement().await?.upsert(counter, raise).await?;
        let end_of = |now: SystemTime| now.checked_add(lease).unwrap_or(now);
        let mut acquired = Acquired::Granted(FencingToken::new(drawn));
        let row = LeaseRow {
            name: name.to_owned(),
            owner: owner.to_owned(),
            fence: drawn,
            lease_until: end_of(self.database.now()),
        };
        let take = |row: &mut LeaseRow| {
            let now = self.database.now();
            if row.owner != owner {
                if let Ok(remaining) = row.lease_until.duration_since(now)
                    && !remaining.is_zero()
                {
                    acquired = Acquired::Held { remaining };
                    return;
                }
                owner.clone_into(&mut row.owner);
                row.fence = drawn;
            } else if row.fence <= above.as_i64() {
                row.fence = drawn;
            }
            row.lease_until = end_of(now);
            acquired = Acquired::Granted(FencingToken::new(row.fence));
        };
        let _: Inserted = tx.statement().await?.upsert(row, take).await?;
        self.database.commit(tx).await?;
        Ok(acquired)
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        let mut tx = self.database.begin().await?;
        let mut renewed = Vec::with_capacity(held.len());
        let mut statement = tx.statement().await?;
        for Holding { name, owner } in held {
            let extend = |row: &mut LeaseRow| {
                let now = self.database.now();
                let is_mine = row.owner == *owner && row.lease_until > now;
                if is_mine {
                    row.lease_until = now.checked_add(lease).unwrap_or(now);
                }
                is_mine
            };
            renewed.push(statement.update(&(*name).to_owned(), extend).await?);
        }
        drop(statement);
        self.database.commit(tx).await?;
        Ok(renewed)
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let is_mine = |row: &LeaseRow| row.owner == held.owner;
        let name = held.name.to_owned();
        tx.statement().await?.delete(&name, is_mine).await?;
        Ok(self.database.commit(tx).await?)
    }
}

#[async_trait]
impl Fences for MemoryFences {
    type Connection = Connection;

    async fn check(
        &self,
        connection: &mut Connection,
        name: &str,
        token: FencingToken,
    ) -> Result<(), Error> {
        crate::name::check(name)?;
        let mut seen = token;
        let row = FenceRow {
            name: name.to_owned(),
            fence: token.as_i64(),
        };
        let raise = |row: &mut FenceRow| {
            seen = token.max(FencingToken::new(row.fence));
            row.fence = seen.as_i64();
        };
        let _: Inserted = connection.statement().await?.upsert(row, raise).await?;
        if token < seen {
            let name = name.to_owned();
            return Err(Error::Fenced { name, token, seen });
        }
        Ok(())
    }
}
