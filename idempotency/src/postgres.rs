//! Records in a PostgreSQL database.
//!
//! [`begin`](Records::begin) tries to take an advisory lock on the key for the rest of the
//! transaction. If another open transaction has it, the request is `Running` at once: nobody waits.
//! The lock only saves work. The primary key decides when the request is completed.
//!
//! Nothing is kept in the session, so the records work behind a pooler in transaction mode.

mod roles;
mod rows;

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    postgres::{Database, classify, statement},
};
use sqlx::{PgConnection, Row as _, SqlStr};

use crate::{
    Answer, Begun, Claim, Error, KeyedRequest, Records, RecordsBuilder,
    answer::headers,
    builder::micros,
    found::{Found, begun_batch, running},
    store::RecordStore,
    sweep::Sweep,
};
use rows::{Completions, Locks, Requests, found, smallint};

pub use roles::roles;
pub use sqlx;

/// The schema of the records, for services that run migrations themselves; see
/// [`open_without_migrating`](RecordsBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "idempotency",
    steps: &[Migration {
        name: "0001_idempotency",
        sql: include_str!("../migrations/postgres/0001_idempotency.sql"),
    }],
};

/// Names the columns that this build needs, and reads no row.
const PROBE: &str = "SELECT tenant, operation, key, fingerprint, status, headers, body, expires_at
    FROM {ns}idempotency_records WHERE false";

/// Records in a PostgreSQL database. Clones share everything.
#[derive(Clone, Debug)]
pub struct PostgresRecords {
    database: Database,
    locks: Locks,
    lifetime: i64,
    begin: SqlStr,
    begin_many: SqlStr,
    /// Completes where there is no record: without the price of ON CONFLICT.
    insert: SqlStr,
    replace: SqlStr,
    complete_many: SqlStr,
    sweep: SqlStr,
}

impl PostgresRecords {
    /// Configures records in `database`, which may be a `PgPool` that exists already; `open` them
    /// then.
    pub fn builder(database: impl Into<Database>) -> RecordsBuilder<Database> {
        RecordsBuilder::new(database.into())
    }
}

impl RecordsBuilder<Database> {
    /// Where the table is; default: without prefix, in the schema that the search path names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Opens the records, and brings their table to this build's version. Safe when several
    /// processes start at once.
    ///
    /// # Errors
    /// As `Database::migrate`.
    pub async fn open(self) -> Result<PostgresRecords, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(PostgresRecords::new(self))
    }

    /// Opens the records on a table that [`MIGRATIONS`] made before, run by the service's own tool
    /// or by another role.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if the
    /// table or a column is missing.
    pub async fn open_without_migrating(self) -> Result<PostgresRecords, Error> {
        self.database
            .check_schema(&MIGRATIONS, &self.namespace, &[PROBE])
            .await?;
        Ok(PostgresRecords::new(self))
    }
}

impl PostgresRecords {
    fn new(builder: RecordsBuilder<Database>) -> Self {
        let sql = |text: &str| statement(&builder.namespace, text);
        Self {
            locks: Locks::new(&builder.namespace),
            lifetime: micros(builder.lifetime),
            // A lock that is had after this snapshot was taken may be that of a transaction which
            // has committed since. Completing then finds its record.
            begin: sql(
                "SELECT CASE WHEN r.expires_at > statement_timestamp() THEN NULL ELSE pg_try_advisory_xact_lock($4) END,
                        r.fingerprint, r.status, r.headers, r.body
                 FROM (SELECT) AS one LEFT JOIN {ns}idempotency_records AS r
                   ON r.tenant = $1 AND r.operation = $2 AND r.key = $3",
            ),
            // In the order of the locks, so that of two batches with the same keys one gets most.
            begin_many: sql(
                "SELECT row.number,
                        CASE WHEN r.expires_at > statement_timestamp() THEN NULL ELSE pg_try_advisory_xact_lock(row.lock) END,
                        r.fingerprint, r.status, r.headers, r.body
                 FROM (SELECT * FROM UNNEST($1::int4[], $2::int8[], $3::text[], $4::text[], $5::text[])
                         AS request (number, lock, tenant, operation, key)
                       ORDER BY lock) AS row
                 LEFT JOIN {ns}idempotency_records AS r
                   ON r.tenant = row.tenant AND r.operation = row.operation AND r.key = row.key",
            ),
            // The clock, not the statement's beginning: it may have waited.
            insert: sql(
                "INSERT INTO {ns}idempotency_records
                   (tenant, operation, key, fingerprint, status, headers, body, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8 * interval '1 microsecond')",
            ),
            replace: sql(
                "INSERT INTO {ns}idempotency_records AS r
                   (tenant, operation, key, fingerprint, status, headers, body, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8 * interval '1 microsecond')
                 ON CONFLICT (tenant, operation, key) DO UPDATE
                 SET fingerprint = excluded.fingerprint, status = excluded.status,
                     headers = excluded.headers, body = excluded.body, expires_at = excluded.expires_at
                 WHERE r.expires_at <= clock_timestamp()",
            ),
            // In one order, so that two such statements never deadlock.
            complete_many: sql(
                "INSERT INTO {ns}idempotency_records AS r
                   (tenant, operation, key, fingerprint, status, headers, body, expires_at)
                 SELECT tenant, operation, key, fingerprint, status, headers, body,
                        clock_timestamp() + $8 * interval '1 microsecond'
                 FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bytea[], $5::int2[], $6::text[], $7::bytea[])
                   AS row (tenant, operation, key, fingerprint, status, headers, body)
                 ORDER BY tenant COLLATE \"C\", operation COLLATE \"C\", key COLLATE \"C\"
                 ON CONFLICT (tenant, operation, key) DO UPDATE
                 SET fingerprint = excluded.fingerprint, status = excluded.status,
                     headers = excluded.headers, body = excluded.body, expires_at = excluded.expires_at
                 WHERE r.expires_at <= clock_timestamp()",
            ),
            // A record that a transaction is replacing belongs to a key that is being processed.
            sweep: sql(
                "DELETE FROM {ns}idempotency_records WHERE ctid = ANY (ARRAY(
                   SELECT ctid FROM {ns}idempotency_records WHERE expires_at <= statement_timestamp()
                   ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))",
            ),
            database: builder.database,
        }
    }
}

#[async_trait]
impl Records for PostgresRecords {
    type Connection = PgConnection;

    async fn begin_batch(
        &self,
        connection: &mut PgConnection,
        requests: &[&KeyedRequest],
    ) -> Result<Vec<Begun<Claim>>, Error> {
        let columns = Requests::of(requests, &self.locks);
        let rows = sqlx::query(self.begin_many.clone())
            .persistent(self.database.keeps_statements())
            .bind(columns.numbers)
            .bind(columns.locks)
            .bind(columns.tenants)
            .bind(columns.operations)
            .bind(columns.keys)
            .fetch_all(connection)
            .await
            .map_err(classify)?;
        let mut answers: Vec<Found> = requests.iter().map(|_| Found::Settled(running())).collect();
        for row in rows {
            let number: i32 = row.try_get(0).map_err(classify)?;
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            if let (Some(answer), Some(request)) = (answers.get_mut(number), requests.get(number)) {
                *answer = found(request, &row, 1)?;
            }
        }
        Ok(begun_batch(requests, answers))
    }

    async fn complete_batch(
        &self,
        connection: &mut PgConnection,
        completions: Vec<(Claim, &Answer)>,
    ) -> Result<(), Error> {
        let Some((first, _)) = completions.first() else {
            return Ok(());
        };
        let columns = Completions::of(&completions);
        let written = sqlx::query(self.complete_many.clone())
            .persistent(self.database.keeps_statements())
            .bind(columns.tenants)
            .bind(columns.operations)
            .bind(columns.keys)
            .bind(columns.fingerprints)
            .bind(columns.statuses)
            .bind(columns.headers)
            .bind(columns.bodies)
            .bind(self.lifetime)
            .execute(connection)
            .await
            .map_err(classify)?
            .rows_affected();
        if written < completions.len() as u64 {
            let key = first.request().key.clone();
            return Err(Error::Conflict { key });
        }
        Ok(())
    }

    async fn begin(
        &self,
        connection: &mut PgConnection,
        request: &KeyedRequest,
    ) -> Result<Begun<Claim>, Error> {
        let (key, scope) = (&request.key, request.key.scope());
        let row = sqlx::query(self.begin.clone())
            .persistent(self.database.keeps_statements())
            .bind(scope.tenant())
            .bind(scope.operation())
            .bind(key.text())
            .bind(self.locks.of(key))
            .fetch_one(connection)
            .await
            .map_err(classify)?;
        Ok(found(request, &row, 0)?.begin(request))
    }

    async fn complete(
        &self,
        connection: &mut PgConnection,
        claim: Claim,
        answer: &Answer,
    ) -> Result<(), Error> {
        let KeyedRequest { key, fingerprint } = claim.request();
        let statement = if claim.replaces() {
            &self.replace
        } else {
            &self.insert
        };
        let written = sqlx::query(statement.clone())
            .persistent(self.database.keeps_statements())
            .bind(key.scope().tenant())
            .bind(key.scope().operation())
            .bind(key.text())
            .bind(fingerprint.as_bytes().as_slice())
            .bind(smallint(answer.status()))
            .bind(headers::encode(answer))
            .bind(answer.body().map(|body| &**body))
            .bind(self.lifetime)
            .execute(connection)
            .await;
        let conflict = || Error::Conflict { key: key.clone() };
        match written {
            Ok(written) if written.rows_affected() == 0 => Err(conflict()),
            Ok(_) => Ok(()),
            // Another transaction has committed a record since this one began.
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(conflict()),
            Err(error) => Err(classify(error).into()),
        }
    }
}

impl RecordStore for PostgresRecords {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl Sweep for PostgresRecords {
    async fn sweep(&self, limit: u32) -> Result<u64, Error> {
        let mut tx = self.database.begin().await?;
        let swept = sqlx::query(self.sweep.clone())
            .persistent(self.database.keeps_statements())
            .bind(i64::from(limit))
            .execute(&mut *tx)
            .await
            .map_err(classify)?
            .rows_affected();
        self.database.commit(tx).await?;
        Ok(swept)
    }
}
