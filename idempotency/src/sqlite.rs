//! Records in a SQLite file.
//!
//! SQLite has one writer. A second request with the same key waits until the first one's transaction
//! has ended, and is then given its answer; none is told that the key is running.

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations,
    sqlite::{Database, classify, statement},
};
use sqlx::{SqlStr, SqliteConnection};

use crate::{
    Answer, Begun, Claim, Error, KeyedRequest, Records, RecordsBuilder,
    answer::headers,
    builder::micros,
    found::{Found, begun_batch},
    store::RecordStore,
    stored::StoredAnswer,
    sweep::Sweep,
};

pub use sqlx;

/// The schema of the records, for services that run migrations themselves; see
/// [`open_without_migrating`](RecordsBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "idempotency",
    steps: &[Migration {
        name: "0001_idempotency",
        sql: include_str!("../migrations/sqlite/0001_idempotency.sql"),
    }],
};

/// Names the columns that this build needs, and reads no row.
const PROBE: &str = "SELECT tenant, operation, key, fingerprint, status, headers, body, expires_at
    FROM {ns}idempotency_records WHERE false";

/// The host's time, which all processes that open the file share.
const NOW: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

/// Records in a SQLite file. Clones share everything.
#[derive(Clone, Debug)]
pub struct SqliteRecords {
    database: Database,
    lifetime: i64,
    begin: SqlStr,
    begin_many: SqlStr,
    complete: SqlStr,
    sweep: SqlStr,
}

impl SqliteRecords {
    /// Configures records in `database`, which may be a `&Database`; `open` them then.
    pub fn builder(database: impl Into<Database>) -> RecordsBuilder<Database> {
        RecordsBuilder::new(database.into())
    }
}

impl RecordsBuilder<Database> {
    /// Where the table is; default: without prefix.
    pub fn namespace(mut self, namespace: mainstay_database::Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Opens the records, and brings their table to this build's version. Safe when several
    /// processes start at once.
    ///
    /// # Errors
    /// As `Database::migrate`.
    pub async fn open(self) -> Result<SqliteRecords, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(SqliteRecords::new(self))
    }

    /// Opens the records on a table that [`MIGRATIONS`] made before, run by the service's own tool.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if the
    /// table or a column is missing.
    pub async fn open_without_migrating(self) -> Result<SqliteRecords, Error> {
        self.database
            .check_schema(&MIGRATIONS, &self.namespace, &[PROBE])
            .await?;
        Ok(SqliteRecords::new(self))
    }
}

impl SqliteRecords {
    fn new(builder: RecordsBuilder<Database>) -> Self {
        let sql = |text: &str| statement(&builder.namespace, &text.replace("{now}", NOW));
        Self {
            lifetime: micros(builder.lifetime),
            begin: sql(
                "SELECT fingerprint, status, headers, body FROM {ns}idempotency_records
                 WHERE tenant = $1 AND operation = $2 AND key = $3 AND expires_at > {now}",
            ),
            begin_many: sql(
                "SELECT row.key, r.fingerprint, r.status, r.headers, r.body
                 FROM json_each($1) AS row CROSS JOIN {ns}idempotency_records AS r
                   ON r.tenant = row.value ->> 0 AND r.operation = row.value ->> 1 AND r.key = row.value ->> 2
                 WHERE r.expires_at > {now}",
            ),
            complete: sql(
                "INSERT INTO {ns}idempotency_records
                   (tenant, operation, key, fingerprint, status, headers, body, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, {now} + $8)
                 ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
                   headers = excluded.headers, body = excluded.body, expires_at = excluded.expires_at
                 WHERE expires_at <= {now}",
            ),
            sweep: sql(
                "DELETE FROM {ns}idempotency_records WHERE rowid IN (
                   SELECT rowid FROM {ns}idempotency_records WHERE expires_at <= {now}
                   ORDER BY expires_at LIMIT $1 + 0)",
            ),
            database: builder.database,
        }
    }
}

type Columns = (Vec<u8>, i64, String, Option<Vec<u8>>);

fn found(
    request: &KeyedRequest,
    (fingerprint, status, headers, body): Columns,
) -> Result<Found, Error> {
    let stored = StoredAnswer {
        fingerprint: &fingerprint,
        status: u16::try_from(status).unwrap_or_default(),
        headers: &headers,
        body,
    };
    Ok(Found::Settled(stored.settle(request)?))
}

#[async_trait]
impl Records for SqliteRecords {
    type Connection = SqliteConnection;

    async fn begin_batch(
        &self,
        connection: &mut SqliteConnection,
        requests: &[&KeyedRequest],
    ) -> Result<Vec<Begun<Claim>>, Error> {
        let keys: Vec<_> = requests
            .iter()
            .map(|request| {
                let (key, scope) = (&request.key, request.key.scope());
                (scope.tenant(), scope.operation(), key.text())
            })
            .collect();
        let keys = serde_json::to_string(&keys).map_err(|error| Error::Refused(error.into()))?;
        let rows: Vec<(i64, Vec<u8>, i64, String, Option<Vec<u8>>)> =
            sqlx::query_as(self.begin_many.clone())
                .bind(keys)
                .fetch_all(connection)
                .await
                .map_err(classify)?;
        let mut answers: Vec<Found> = requests
            .iter()
            .map(|_| Found::Nothing { is_expired: false })
            .collect();
        for (number, fingerprint, status, headers, body) in rows {
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            if let (Some(answer), Some(request)) = (answers.get_mut(number), requests.get(number)) {
                *answer = found(request, (fingerprint, status, headers, body))?;
            }
        }
        Ok(begun_batch(requests, answers))
    }

    /// One statement each: they take no round trip, and a body cannot travel in JSON.
    async fn complete_batch(
        &self,
        connection: &mut SqliteConnection,
        completions: Vec<(Claim, &Answer)>,
    ) -> Result<(), Error> {
        for (claim, answer) in completions {
            self.complete(connection, claim, answer).await?;
        }
        Ok(())
    }

    async fn begin(
        &self,
        connection: &mut SqliteConnection,
        request: &KeyedRequest,
    ) -> Result<Begun<Claim>, Error> {
        let (key, scope) = (&request.key, request.key.scope());
        let row: Option<Columns> = sqlx::query_as(self.begin.clone())
            .bind(scope.tenant())
            .bind(scope.operation())
            .bind(key.text())
            .fetch_optional(connection)
            .await
            .map_err(classify)?;
        let found = row.map_or(Ok(Found::Nothing { is_expired: false }), |row| {
            found(request, row)
        })?;
        Ok(found.begin(request))
    }

    async fn complete(
        &self,
        connection: &mut SqliteConnection,
        claim: Claim,
        answer: &Answer,
    ) -> Result<(), Error> {
        let KeyedRequest { key, fingerprint } = claim.request();
        let written = sqlx::query(self.complete.clone())
            .bind(key.scope().tenant())
            .bind(key.scope().operation())
            .bind(key.text())
            .bind(fingerprint.as_bytes().as_slice())
            .bind(i64::from(answer.status()))
            .bind(headers::encode(answer))
            .bind(answer.body().map(|body| &**body))
            .bind(self.lifetime)
            .execute(connection)
            .await
            .map_err(classify)?
            .rows_affected();
        if written == 0 {
            return Err(Error::Conflict { key: key.clone() });
        }
        Ok(())
    }
}

impl RecordStore for SqliteRecords {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl Sweep for SqliteRecords {
    async fn sweep(&self, limit: u32) -> Result<u64, Error> {
        let mut tx = self.database.begin().await?;
        let swept = sqlx::query(self.sweep.clone())
            .bind(limit)
            .execute(&mut *tx)
            .await
            .map_err(classify)?
            .rows_affected();
        self.database.commit(tx).await?;
        Ok(swept)
    }
}
