//! Leases and fences in PostgreSQL 14 or newer.

mod fences;
mod guarded;
mod roles;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    postgres::{Database, Transaction, classify, statement},
};
use sqlx::SqlStr;

use crate::{
    Error, FencingToken,
    store::{Acquired, Claim, Holding, LeaseStore},
};

pub use fences::{FencesBuilder, PostgresFences};
pub use guarded::guarded;
pub use roles::roles;

/// The schema of leases and fences, for those who run migrations with their own tool.
pub const MIGRATIONS: Migrations = Migrations {
    component: "dlock",
    steps: &[Migration {
        name: "0001_dlock",
        sql: include_str!("../migrations/postgres/0001_dlock.sql"),
    }],
};

/// Each reads all columns that this build needs of a table, and no row.
const PROBES: [&str; 2] = [
    "SELECT name, owner, fence, lease_until FROM {ns}dlock_leases WHERE false",
    "SELECT last_value FROM {ns}dlock_tokens WHERE false",
];

/// Leases in a PostgreSQL database. Clones share them.
#[derive(Clone, Debug)]
pub struct PostgresLeases {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    begin: SqlStr,
    raise: SqlStr,
    acquire: SqlStr,
    renew: SqlStr,
    take_turn: SqlStr,
    release: SqlStr,
}

/// Opens [`PostgresLeases`].
#[derive(Clone, Debug)]
#[must_use = "call open() to open the leases"]
pub struct LeasesBuilder {
    database: Database,
    namespace: Namespace,
}

impl PostgresLeases {
    /// Starts to open the leases in `database`: a [`Database`], or a `PgPool` that exists.
    pub fn builder(database: impl Into<Database>) -> LeasesBuilder {
        LeasesBuilder {
            database: database.into(),
            namespace: Namespace::plain(),
        }
    }
}

impl LeasesBuilder {
    /// Where the tables are; default: plain names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Brings the schema up to date and opens the leases.
    ///
    /// # Errors
    /// [`Error::Database`] when the schema is newer than this build, or the server cannot be used.
    pub async fn open(self) -> Result<PostgresLeases, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(self.opened())
    }

    /// Opens the leases in a schema that another tool made from [`MIGRATIONS`].
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a table or column is
    /// missing.
    pub async fn open_without_migrating(self) -> Result<PostgresLeases, Error> {
        let checked = self
            .database
            .check_schema(&MIGRATIONS, &self.namespace, &PROBES);
        checked.await?;
        Ok(self.opened())
    }

    fn opened(self) -> PostgresLeases {
        let inner = Arc::new(Inner::new(self.database, &self.namespace));
        PostgresLeases { inner }
    }
}

/// There is only a round trip between two statements, so the server ends the transaction of a process that was
/// suspended there. A lease is on disk when the call returns, whatever the setting of the server or the role: a token that
/// a crash of the server forgets would be granted twice.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
    SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '5s'; \
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

/// The current time: a statement that waited for a lock began long ago.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Taken by those who draw a token, against those who raise the sequence.
const TOKENS: &str = "hashtextextended('mainstay {ns}dlock_tokens', 0)";

/// Taken by those who change the owner of the lock $1.
const OWNER: &str = "hashtextextended('mainstay {ns}dlock_leases ' || $1, 0)";

impl Inner {
    fn new(database: Database, namespace: &Namespace) -> Self {
        let sql = |text: &str| statement(namespace, text);
        Self {
            database,
            begin: sql(BEGIN),
            // Nobody draws meanwhile: setting the sequence would take it back.
            raise: sql(&format!(
                "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock({TOKENS}))
                 SELECT setval('{{ns}}dlock_tokens', greatest($1, nextval('{{ns}}dlock_tokens'))) FROM turn"
            )),
            // A lock that is held is found without writing. Otherwise one owner at a time goes on, from before it
            // draws its token to its commit: an INSERT that waits for another one would bring an older token.
            // ON CONFLICT sees the newest version of the row, whatever the snapshot has.
            acquire: sql(&format!(
                "WITH busy AS MATERIALIZED (
                   SELECT lease_until - {NOW} AS remaining FROM {{ns}}dlock_leases
                   WHERE name = $1 AND owner <> $2 AND lease_until > {NOW}),
                 drawing AS MATERIALIZED (
                   SELECT pg_advisory_xact_lock_shared({TOKENS}) WHERE NOT EXISTS (SELECT FROM busy)),
                 turn AS MATERIALIZED (
                   SELECT pg_advisory_xact_lock({OWNER}) FROM drawing),
                 granted AS (
                   INSERT INTO {{ns}}dlock_leases AS l (name, owner, fence, lease_until)
                   SELECT $1, $2, nextval('{{ns}}dlock_tokens'), {NOW} + $3 FROM turn
                   ON CONFLICT (name) DO UPDATE SET
                     owner = excluded.owner, lease_until = {NOW} + $3,
                     fence = CASE WHEN l.owner = excluded.owner AND l.fence > $4 THEN l.fence ELSE excluded.fence END
                   WHERE l.owner = excluded.owner OR l.lease_until <= {NOW}
                   RETURNING fence)
                 SELECT fence, 0::bigint FROM granted UNION ALL SELECT NULL, remaining FROM busy"
            )),
            renew: sql(&format!(
                "WITH renewed AS (
                   UPDATE {{ns}}dlock_leases l SET lease_until = {NOW} + $3
                   FROM unnest($1::text[], $2::text[]) h(name, owner)
                   WHERE l.name = h.name AND l.owner = h.owner AND l.lease_until > {NOW}
                   RETURNING l.name, l.owner)
                 SELECT r.owner IS NOT NULL
                 FROM unnest($1::text[], $2::text[]) WITH ORDINALITY h(name, owner, n)
                 LEFT JOIN renewed r ON r.name = h.name AND r.owner = h.owner ORDER BY n"
            )),
            take_turn: sql(&format!("SELECT pg_advisory_xact_lock({OWNER})")),
            release: sql("DELETE FROM {ns}dlock_leases WHERE name = $1 AND owner = $2"),
        }
    }

    /// Opens a transaction, even for a single statement: a pooler in transaction mode could send parts of it to
    /// several sessions.
    async fn begin(&self) -> Result<Transaction, Error> {
        Ok(self.database.begin_with(self.begin.clone()).await?)
    }
}

#[async_trait]
impl LeaseStore for PostgresLeases {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        let sql = &*self.inner;
        let mut tx = sql.begin().await?;
        if claim.above > FencingToken::ZERO {
            sqlx::query(sql.raise.clone())
                .persistent(sql.database.keeps_statements())
                .bind(claim.above.as_i64())
                .execute(&mut *tx)
                .await
                .map_err(driver)?;
        }
        let answer: Option<(Option<i64>, i64)> = sqlx::query_as(sql.acquire.clone())
            .persistent(sql.database.keeps_statements())
            .bind(claim.holding.name)
            .bind(claim.holding.owner)
            .bind(micros(claim.lease))
            .bind(claim.above.as_i64())
            .fetch_optional(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await?;
        Ok(match answer {
            Some((Some(fence), _)) => Acquired::Granted(FencingToken::new(fence)),
            Some((None, remaining)) => Acquired::Held {
                remaining: Duration::from_micros(remaining.max(0).unsigned_abs()),
            },
            // Another owner came first while this one waited.
            None => Acquired::Held {
                remaining: Duration::ZERO,
            },
        })
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        let sql = &*self.inner;
        let names: Vec<&str> = held.iter().map(|held| held.name).collect();
        let owners: Vec<&str> = held.iter().map(|held| held.owner).collect();
        let mut tx = sql.begin().await?;
        let renewed: Vec<bool> = sqlx::query_scalar(sql.renew.clone())
            .persistent(sql.database.keeps_statements())
            .bind(names)
            .bind(owners)
            .bind(micros(lease))
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await?;
        Ok(renewed)
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        let sql = &*self.inner;
        let mut tx = sql.begin().await?;
        // An acquisition whose answer nobody waits for may be about to commit. Behind it, the next statement sees it.
        sqlx::query(sql.take_turn.clone())
            .persistent(sql.database.keeps_statements())
            .bind(held.name)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        sqlx::query(sql.release.clone())
            .persistent(sql.database.keeps_statements())
            .bind(held.name)
            .bind(held.owner)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await
    }
}

/// Commits a transaction in which every error was returned.
async fn commit(transaction: Transaction) -> Result<(), Error> {
    transaction.commit().await.map_err(driver)
}

fn driver(error: sqlx::Error) -> Error {
    Error::Database(classify(error))
}

/// A duration in microseconds. Statements add it to the server's time, which leaves room for 146,000 years.
fn micros(duration: Duration) -> i64 {
    const LONGEST: i64 = i64::MAX / 2;
    i64::try_from(duration.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}
