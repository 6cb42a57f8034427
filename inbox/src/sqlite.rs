//! Processed records in a SQLite file.

mod retention;

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    sqlite::{Database, classify, statement},
};
use mainstay_messaging::{Delivery, Group};
use sqlx::{SqlStr, SqliteConnection};

use crate::{
    Admission, Error, Inbox, InboxBuilder,
    answers::answers,
    store::{Identity, WorkerStore},
};
use retention::Pruning;

pub use sqlx;

/// The schema of the inbox, for services that run migrations themselves; see
/// [`open_without_migrating`](InboxBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "inbox",
    steps: &[Migration {
        name: "0001_inbox",
        sql: include_str!("../migrations/sqlite/0001_inbox.sql"),
    }],
};

/// An inbox in a SQLite file. Clones share everything.
#[derive(Clone, Debug)]
pub struct SqliteInbox {
    database: Database,
    one: SqlStr,
    many: SqlStr,
    newest: SqlStr,
    redeliveries: SqlStr,
    pruning: Pruning,
}

impl SqliteInbox {
    /// Starts to open an inbox in `database`, which may be a `&Database`.
    pub fn builder(database: impl Into<Database>) -> InboxBuilder<Database> {
        InboxBuilder::new(database.into())
    }
}

impl InboxBuilder<Database> {
    /// Opens the inbox, and brings its tables to this build's version. Safe when several processes
    /// start at once.
    ///
    /// # Errors
    /// As `Database::migrate`.
    pub async fn open(self) -> Result<SqliteInbox, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(SqliteInbox::new(self.database, &self.namespace))
    }

    /// Opens the inbox on tables that [`MIGRATIONS`] made before, run by the service's own tool or
    /// by another role.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a
    /// table or column is missing.
    pub async fn open_without_migrating(self) -> Result<SqliteInbox, Error> {
        self.database
            .check_schema(&MIGRATIONS, &self.namespace, &PROBES)
            .await?;
        Ok(SqliteInbox::new(self.database, &self.namespace))
    }
}

/// Each reads all columns that this build needs of a table, and no row.
const PROBES: [&str; 3] = [
    "SELECT seq, consumer, source, id, topic, partition, offset FROM {ns}inbox_processed WHERE false",
    "SELECT consumer, source, id, topic, partition, offset, after_seq FROM {ns}inbox_redeliveries WHERE false",
    "SELECT consumer, topic, partition, committed_at, offset, newest_seq FROM {ns}inbox_progress WHERE false",
];

impl SqliteInbox {
    fn new(database: Database, namespace: &Namespace) -> Self {
        let sql = |text: &str| statement(namespace, text);
        Self {
            one: sql("INSERT INTO {ns}inbox_processed (consumer, source, id, topic, partition, offset)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"),
            // `WHERE true` keeps the parser from reading ON as a join's.
            many: sql("INSERT INTO {ns}inbox_processed (consumer, source, id, topic, partition, offset)
                 SELECT $1, row.value ->> 0, row.value ->> 1, row.value ->> 2, row.value ->> 3, row.value ->> 4
                 FROM json_each($2) AS row WHERE true
                 ON CONFLICT DO NOTHING"),
            newest: sql("SELECT source, id FROM {ns}inbox_processed ORDER BY seq DESC LIMIT $1 + 0"),
            // A record at the position of its processed record is the same one again, and is not
            // recorded, unless its offset was committed before: then the log was created anew, or
            // the group's offset was reset.
            redeliveries: sql("INSERT INTO {ns}inbox_redeliveries (consumer, source, id, topic, partition, offset, after_seq)
                 SELECT $1, m.source, m.id, row.value ->> 2, row.value ->> 3, max(row.value ->> 4),
                        max(coalesce((SELECT max(seq) FROM {ns}inbox_processed), 0),
                            coalesce((SELECT max(newest_seq) FROM {ns}inbox_progress), 0))
                 FROM json_each($2) AS row CROSS JOIN {ns}inbox_processed AS m
                   ON m.consumer = $1 AND m.source = row.value ->> 0 AND m.id = row.value ->> 1
                 WHERE m.offset <> row.value ->> 4 OR m.partition <> row.value ->> 3 OR m.topic <> row.value ->> 2
                    OR EXISTS (SELECT 1 FROM {ns}inbox_progress p WHERE p.consumer = $1 AND p.topic = m.topic
                               AND p.partition = m.partition AND p.offset > m.offset)
                 GROUP BY m.source, m.id, row.value ->> 2, row.value ->> 3
                 ON CONFLICT DO UPDATE
                 SET offset = max(offset, excluded.offset), after_seq = excluded.after_seq"),
            pruning: Pruning::new(namespace),
            database,
        }
    }
}

impl SqliteInbox {
    /// The processed records that the transaction's last statement added. There is one writer, so
    /// they are the newest ones. Read only if there are duplicates: returning a row costs three
    /// times as much as inserting one.
    async fn newest_records(
        &self,
        connection: &mut SqliteConnection,
        added: u64,
    ) -> Result<Vec<(String, String)>, Error> {
        if added == 0 {
            return Ok(Vec::new());
        }
        let records = sqlx::query_as(self.newest.clone())
            .bind(i64::try_from(added).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await;
        Ok(records.map_err(classify)?)
    }

    /// Records the positions of duplicates, so that retention keeps their processed records while
    /// they may come again.
    async fn note_redeliveries(
        &self,
        connection: &mut SqliteConnection,
        consumer: &Group,
        rows: &str,
    ) -> Result<(), Error> {
        sqlx::query(self.redeliveries.clone())
            .bind(consumer.as_str())
            .bind(rows)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }
}

#[async_trait]
impl Inbox for SqliteInbox {
    type Connection = SqliteConnection;

    async fn admit_batch(
        &self,
        connection: &mut SqliteConnection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, Error> {
        match deliveries {
            [] => Ok(Vec::new()),
            [delivery] => Ok(vec![self.admit(connection, consumer, delivery).await?]),
            _ => {
                let rows = Rows(deliveries).to_json()?;
                let added = sqlx::query(self.many.clone())
                    .bind(consumer.as_str())
                    .bind(&rows)
                    .execute(&mut *connection)
                    .await
                    .map_err(classify)?
                    .rows_affected();
                if added == deliveries.len() as u64 {
                    return Ok(vec![Admission::Fresh; deliveries.len()]);
                }
                let records = self.newest_records(connection, added).await?;
                self.note_redeliveries(connection, consumer, &rows).await?;
                Ok(answers(deliveries, &records))
            }
        }
    }

    async fn admit(
        &self,
        connection: &mut SqliteConnection,
        consumer: &Group,
        delivery: &Delivery,
    ) -> Result<Admission, Error> {
        let Identity { source, id } = Identity::of(delivery);
        let added = sqlx::query(self.one.clone())
            .bind(consumer.as_str())
            .bind(source)
            .bind(&*id)
            .bind(delivery.position.partition.topic.as_str())
            .bind(delivery.position.partition.number)
            .bind(delivery.position.offset)
            .execute(&mut *connection)
            .await
            .map_err(classify)?
            .rows_affected();
        if added == 1 {
            return Ok(Admission::Fresh);
        }
        let rows = Rows(&[delivery]).to_json()?;
        self.note_redeliveries(connection, consumer, &rows).await?;
        Ok(Admission::Duplicate)
    }
}

impl WorkerStore for SqliteInbox {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }
}

/// The deliveries as the statement takes them.
struct Rows<'a>(&'a [&'a Delivery]);

impl Rows<'_> {
    fn to_json(&self) -> Result<String, Error> {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|delivery| {
                let Identity { source, id } = Identity::of(delivery);
                let position = &delivery.position;
                let topic = position.partition.topic.as_str();
                (
                    source,
                    id,
                    topic,
                    position.partition.number,
                    position.offset,
                )
            })
            .collect();
        serde_json::to_string(&rows)
            .map_err(|error| mainstay_database::Error::Failed(error.into()).into())
    }
}
