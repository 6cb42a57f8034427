//! Processed records in a PostgreSQL database.

mod combined;
mod retention;
mod roles;
mod settled;

use std::{cmp::Ordering, ptr, sync::Arc};

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    postgres::{Database, classify, statement},
};
use mainstay_messaging::{Delivery, Group};
use sqlx::{
    Arguments as _, PgConnection, SqlStr,
    postgres::{PgArguments, PgBindIterExt as _},
};

use crate::{
    Admission, Error, Inbox, InboxBuilder,
    answers::answers,
    store::{Identity, WorkerStore},
};
use retention::Pruning;
use settled::Settled;

pub use combined::{Combined, CombinedEffect, Effect};
pub use roles::roles;
pub use sqlx;

/// The schema of the inbox, for services that run migrations themselves; see
/// [`open_without_migrating`](InboxBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "inbox",
    steps: &[Migration {
        name: "0001_inbox",
        sql: include_str!("../migrations/postgres/0001_inbox.sql"),
    }],
};

/// An inbox in a PostgreSQL database. Clones share everything.
///
/// If two transactions admit one message at once, the second waits for the first, up to its
/// `lock_timeout`. If the first commits, the second one's message is a duplicate.
///
/// The inbox keeps nothing in its session, so it works behind a pooler in transaction mode. A
/// statement that runs there outside a transaction may still fail: see
/// [`admit_with`](Self::admit_with).
#[derive(Clone, Debug)]
pub struct PostgresInbox {
    database: Database,
    namespace: Namespace,
    one: SqlStr,
    many: SqlStr,
    redeliveries: SqlStr,
    pruning: Pruning,
    settled: Arc<Settled>,
}

impl PostgresInbox {
    /// Starts to open an inbox in `database`, which may be a `PgPool` that exists.
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
    pub async fn open(self) -> Result<PostgresInbox, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(PostgresInbox::new(self.database, self.namespace))
    }

    /// Opens the inbox on tables that [`MIGRATIONS`] made before, run by the service's own tool or
    /// by another role.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a
    /// table or column is missing.
    pub async fn open_without_migrating(self) -> Result<PostgresInbox, Error> {
        self.database
            .check_schema(&MIGRATIONS, &self.namespace, &PROBES)
            .await?;
        Ok(PostgresInbox::new(self.database, self.namespace))
    }
}

/// Each reads all columns that this build needs of a table, and no row.
const PROBES: [&str; 3] = [
    "SELECT seq, consumer, source, id, topic, partition, \"offset\" FROM {ns}inbox_processed WHERE false",
    "SELECT consumer, source, id, topic, partition, \"offset\", after_seq FROM {ns}inbox_redeliveries WHERE false",
    "SELECT consumer, topic, partition, committed_at, \"offset\", newest_seq FROM {ns}inbox_progress WHERE false",
];

impl PostgresInbox {
    fn new(database: Database, namespace: Namespace) -> Self {
        let sql = |text: &str| statement(&namespace, text);
        Self {
            one: sql(
                "INSERT INTO {ns}inbox_processed (consumer, source, id, topic, partition, \"offset\")
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            ),
            // Returns the new records only if some are not new: each returned row costs client and
            // server time.
            many: sql("WITH fresh AS (
                     INSERT INTO {ns}inbox_processed (consumer, source, id, topic, partition, \"offset\")
                     SELECT $1, row.source, row.id, row.topic, row.partition, row.\"offset\"
                     FROM UNNEST($2::text[], $3::text[], $4::text[], $5::int4[], $6::int8[]) WITH ORDINALITY
                          AS row (source, id, topic, partition, \"offset\", number)
                     ORDER BY row.number ON CONFLICT DO NOTHING
                     RETURNING source, id)
                 SELECT added.count, fresh.source, fresh.id
                 FROM (SELECT count(*) FROM fresh) AS added LEFT JOIN fresh ON added.count < $7"),
            // A record at the position of its processed record is the same one again, and is not
            // recorded, unless its offset was committed before: then the log was created anew, or
            // the group's offset was reset. Rows are inserted in one order, so that two such
            // statements never deadlock.
            redeliveries: sql("INSERT INTO {ns}inbox_redeliveries AS known
                   (consumer, source, id, topic, partition, \"offset\", after_seq)
                 SELECT $1, m.source, m.id, row.topic, row.partition, max(row.\"offset\"),
                        greatest((SELECT max(seq) FROM {ns}inbox_processed), (SELECT max(newest_seq) FROM {ns}inbox_progress))
                 FROM UNNEST($2::text[], $3::text[], $4::text[], $5::int4[], $6::int8[])
                      AS row (source, id, topic, partition, \"offset\")
                 JOIN {ns}inbox_processed AS m ON m.consumer = $1 AND m.source = row.source AND m.id = row.id
                 WHERE (m.topic, m.partition, m.\"offset\") <> (row.topic, row.partition, row.\"offset\")
                    OR EXISTS (SELECT 1 FROM {ns}inbox_progress p WHERE p.consumer = $1 AND p.topic = m.topic
                               AND p.partition = m.partition AND p.\"offset\" > m.\"offset\")
                 GROUP BY m.source, m.id, row.topic, row.partition
                 ORDER BY m.source, m.id, row.topic, row.partition
                 ON CONFLICT (consumer, source, id, topic, partition) DO UPDATE
                 SET \"offset\" = greatest(known.\"offset\", excluded.\"offset\"), after_seq = excluded.after_seq"),
            pruning: Pruning::new(&namespace),
            settled: Arc::default(),
            database,
            namespace,
        }
    }
}

impl PostgresInbox {
    /// Records the positions of duplicates, so that retention keeps their processed records while
    /// they may come again.
    async fn note_redeliveries(
        &self,
        connection: &mut PgConnection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<(), Error> {
        let arguments = arguments(consumer, deliveries).map_err(classify)?;
        sqlx::query_with(self.redeliveries.clone(), arguments)
            .persistent(self.database.keeps_statements())
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }
}

#[async_trait]
impl Inbox for PostgresInbox {
    type Connection = PgConnection;

    async fn admit_batch(
        &self,
        connection: &mut PgConnection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, Error> {
        match deliveries {
            [] => Ok(Vec::new()),
            [delivery] => Ok(vec![self.admit(connection, consumer, delivery).await?]),
            _ => {
                let arguments = arguments(consumer, deliveries).map_err(classify)?;
                let count = i64::try_from(deliveries.len()).unwrap_or(i64::MAX);
                let answer: Vec<(i64, Option<String>, Option<String>)> =
                    sqlx::query_as_with(self.many.clone(), arguments)
                        .persistent(self.database.keeps_statements())
                        .bind(count)
                        .fetch_all(&mut *connection)
                        .await
                        .map_err(classify)?;
                if answer.first().is_some_and(|(added, ..)| *added == count) {
                    return Ok(vec![Admission::Fresh; deliveries.len()]);
                }
                let added: Vec<_> = answer
                    .into_iter()
                    .filter_map(|(_, source, id)| Some((source?, id?)))
                    .collect();
                self.note_redeliveries(connection, consumer, deliveries)
                    .await?;
                Ok(answers(deliveries, &added))
            }
        }
    }

    async fn admit(
        &self,
        connection: &mut PgConnection,
        consumer: &Group,
        delivery: &Delivery,
    ) -> Result<Admission, Error> {
        let Identity { source, id } = Identity::of(delivery);
        let added = sqlx::query(self.one.clone())
            .persistent(self.database.keeps_statements())
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
        self.note_redeliveries(connection, consumer, &[delivery])
            .await?;
        Ok(Admission::Duplicate)
    }
}

impl WorkerStore for PostgresInbox {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }
}

/// The deliveries as statements take them, column by column, behind the consumer.
///
/// They are in the order of positions, whatever the order of the batch. So of two batches with the
/// same messages, one waits for the other at the first common message, and they never deadlock.
fn arguments(consumer: &Group, deliveries: &[&Delivery]) -> Result<PgArguments, sqlx::Error> {
    let rows = deliveries.iter().copied();
    let mut rows: Vec<Row<'_>> = rows.map(Row::of).collect();
    rows.sort_unstable_by(|one, other| {
        // Most are of one topic, whose name all deliveries share.
        let topics = if ptr::eq(one.topic, other.topic) {
            Ordering::Equal
        } else {
            one.topic.cmp(other.topic)
        };
        topics.then_with(|| (one.partition, one.offset).cmp(&(other.partition, other.offset)))
    });
    let mut arguments = PgArguments::default();
    // Beside the rows: consumer, count, and the heads of the columns.
    arguments.reserve(7, rows.iter().map(Row::size).sum::<usize>() + 256);
    let mut add = || {
        arguments.add(consumer.as_str())?;
        arguments.add(rows.iter().map(|row| row.identity.source).bind_iter())?;
        arguments.add(rows.iter().map(|row| &*row.identity.id).bind_iter())?;
        arguments.add(rows.iter().map(|row| row.topic).bind_iter())?;
        arguments.add(rows.iter().map(|row| row.partition).bind_iter())?;
        arguments.add(rows.iter().map(|row| row.offset).bind_iter())
    };
    add().map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}

/// A delivery as a statement takes it.
struct Row<'a> {
    identity: Identity<'a>,
    topic: &'a str,
    partition: i32,
    offset: i64,
}

impl<'a> Row<'a> {
    fn of(delivery: &'a Delivery) -> Self {
        Self {
            identity: Identity::of(delivery),
            topic: delivery.position.partition.topic.as_str(),
            partition: delivery.position.partition.number,
            offset: delivery.position.offset,
        }
    }

    /// About how many bytes it takes among the arguments: five values, each behind its length.
    fn size(&self) -> usize {
        let Identity { source, id } = &self.identity;
        source.len() + id.len() + self.topic.len() + 5 * 4 + 4 + 8
    }
}
