//! Leases and fences in a SQLite file. The host's monotonic clock decides leases; it counts suspended time.
//!
//! There is one writer at a time, and renewals wait for it: keep write transactions shorter than a third of the
//! lease.

mod fences;
mod guarded;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{Clock, Monotonic, SystemClock};
use mainstay_database::{
    Migration, Migrations, Namespace,
    sqlite::{Database, Transaction, classify, statement},
};
use sqlx::{SqlStr, SqliteExecutor};

use crate::{
    Error, FencingToken,
    store::{Acquired, Claim, Holding, LeaseStore},
};

pub use fences::{FencesBuilder, SqliteFences};
pub use guarded::guarded;

/// The schema of leases and fences, for those who run migrations with their own tool.
pub const MIGRATIONS: Migrations = Migrations {
    component: "dlock",
    steps: &[Migration {
        name: "0001_dlock",
        sql: include_str!("../migrations/sqlite/0001_dlock.sql"),
    }],
};

/// Each reads all columns that this build needs of a table, and no row.
const PROBES: [&str; 4] = [
    "SELECT name, owner, fence, boot_id, lease_until FROM {ns}dlock_leases WHERE false",
    "SELECT fence FROM {ns}dlock_tokens WHERE false",
    "SELECT name, fence FROM {ns}dlock_fences WHERE false",
    "SELECT name, fence FROM {ns}dlock_checked WHERE false",
];

/// Leases in a SQLite file. Clones share them.
#[derive(Clone, Debug)]
pub struct SqliteLeases {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    clock: Arc<dyn Clock>,
    find: SqlStr,
    draw: SqlStr,
    put: SqlStr,
    renew: SqlStr,
    release: SqlStr,
}

/// Opens [`SqliteLeases`].
#[derive(Clone, Debug)]
#[must_use = "call open() to open the leases"]
pub struct LeasesBuilder {
    database: Database,
    namespace: Namespace,
    clock: Arc<dyn Clock>,
}

impl SqliteLeases {
    /// Starts to open the leases in `database`, which may be a `&Database`.
    pub fn builder(database: impl Into<Database>) -> LeasesBuilder {
        LeasesBuilder {
            database: database.into(),
            namespace: Namespace::plain(),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl LeasesBuilder {
    /// Where the tables are; default: plain names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// The clock that decides leases, the same for all processes; default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Brings the schema up to date and opens the leases.
    ///
    /// # Errors
    /// [`Error::Database`] when the schema is newer than this build, or the file is busy.
    pub async fn open(self) -> Result<SqliteLeases, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(self.opened())
    }

    /// Opens the leases in a schema that another tool made from [`MIGRATIONS`].
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a table or column is
    /// missing.
    pub async fn open_without_migrating(self) -> Result<SqliteLeases, Error> {
        check_schema(&self.database, &self.namespace).await?;
        Ok(self.opened())
    }

    fn opened(self) -> SqliteLeases {
        let sql = |text: &str| statement(&self.namespace, text);
        let inner = Arc::new(Inner {
            find: sql("SELECT owner, fence, boot_id, lease_until FROM {ns}dlock_leases WHERE name = $1"),
            draw: sql("UPDATE {ns}dlock_tokens SET fence = max(fence, $1) + 1 RETURNING fence"),
            put: sql("INSERT INTO {ns}dlock_leases (name, owner, fence, boot_id, lease_until)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, fence = excluded.fence,
                   boot_id = excluded.boot_id, lease_until = excluded.lease_until"),
            renew: sql("UPDATE {ns}dlock_leases SET lease_until = $4
                 FROM json_each($1) AS held
                 WHERE name = held.value ->> 0 AND owner = held.value ->> 1 AND boot_id = $2 AND lease_until > $3
                 RETURNING name, owner"),
            release: sql("DELETE FROM {ns}dlock_leases WHERE name = $1 AND owner = $2"),
            database: self.database,
            clock: self.clock,
        });
        SqliteLeases { inner }
    }
}

async fn check_schema(database: &Database, namespace: &Namespace) -> Result<(), Error> {
    let checked = database.check_schema(&MIGRATIONS, namespace, &PROBES);
    Ok(checked.await?)
}

/// A row of the leases: owner, token, boot and end.
type Row = (String, i64, String, i64);

impl Inner {
    async fn find(
        &self,
        connection: impl SqliteExecutor<'_>,
        name: &str,
    ) -> Result<Option<Row>, Error> {
        sqlx::query_as(self.find.clone())
            .bind(name)
            .fetch_optional(connection)
            .await
            .map_err(driver)
    }

    /// Time that another owner has left.
    fn remaining(&self, row: &Row, owner: &str) -> Option<Duration> {
        let (other, _, boot, lease_until) = row;
        if other == owner || *boot != *self.clock.boot_id().as_str() {
            return None;
        }
        let left = Monotonic::from_micros(*lease_until).remaining_at(self.clock.monotonic());
        (!left.is_zero()).then_some(left)
    }
}

#[async_trait]
impl LeaseStore for SqliteLeases {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        let Claim {
            holding: Holding { name, owner },
            lease,
            above,
        } = claim;
        let inner = &*self.inner;
        let is_held = |row: &Option<Row>| {
            let remaining = inner.remaining(row.as_ref()?, owner)?;
            Some(Acquired::Held { remaining })
        };
        // Who asks again and again keeps no writer waiting.
        let read = inner.find(inner.database.reader(), name).await?;
        if let Some(held) = is_held(&read) {
            return Ok(held);
        }
        let mut tx = inner.database.begin().await?;
        let row = inner.find(&mut *tx, name).await?;
        if let Some(held) = is_held(&row) {
            return Ok(held);
        }
        let own = row.filter(|(other, fence, ..)| other == owner && *fence > above.as_i64());
        let fence = match own {
            Some((_, fence, ..)) => fence,
            None => sqlx::query_scalar(inner.draw.clone())
                .bind(above.as_i64())
                .fetch_one(&mut *tx)
                .await
                .map_err(driver)?,
        };
        sqlx::query(inner.put.clone())
            .bind(name)
            .bind(owner)
            .bind(fence)
            .bind(inner.clock.boot_id().as_str())
            .bind((inner.clock.monotonic() + lease).as_micros())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await?;
        Ok(Acquired::Granted(FencingToken::new(fence)))
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        let inner = &*self.inner;
        let pairs: Vec<[&str; 2]> = held.iter().map(|held| [held.name, held.owner]).collect();
        let pairs = serde_json::to_string(&pairs)
            .map_err(|error| mainstay_database::Error::Failed(error.into()))?;
        let mut tx = inner.database.begin().await?;
        let now = inner.clock.monotonic();
        let renewed: Vec<(String, String)> = sqlx::query_as(inner.renew.clone())
            .bind(pairs)
            .bind(inner.clock.boot_id().as_str())
            .bind(now.as_micros())
            .bind((now + lease).as_micros())
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await?;
        let is_renewed = |held: &Holding<'_>| {
            let mut renewed = renewed.iter();
            renewed.any(|(name, owner)| name == held.name && owner == held.owner)
        };
        Ok(held.iter().map(is_renewed).collect())
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        let mut tx = self.inner.database.begin().await?;
        sqlx::query(self.inner.release.clone())
            .bind(held.name)
            .bind(held.owner)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await
    }
}

async fn commit(transaction: Transaction) -> Result<(), Error> {
    transaction.commit().await.map_err(driver)
}

fn driver(error: sqlx::Error) -> Error {
    Error::Database(classify(error))
}
