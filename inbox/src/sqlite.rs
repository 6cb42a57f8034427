//! Marks in a SQLite file.

mod retention;

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    sqlite::{Database, classify, statement},
};
use mainstay_messaging::{Delivery, Group};
use sqlx::{SqlStr, SqliteConnection};

use crate::{Admission, Error, Identity, Inbox, answers::answers};
use retention::Pruning;

pub use sqlx;

/// The schema of the inbox, for those who run migrations themselves.
pub const MIGRATIONS: Migrations = Migrations {
    component: "inbox",
    steps: &[Migration {
        name: "0001_inbox",
        sql: include_str!("../migrations/sqlite/0001_inbox.sql"),
    }],
};

/// Marks in a SQLite file. Clones share everything.
#[derive(Clone, Debug)]
pub struct SqliteInbox {
    database: Database,
    namespace: Namespace,
    one: SqlStr,
    many: SqlStr,
    newest: SqlStr,
    copies: SqlStr,
    sweeping: Pruning,
}

impl SqliteInbox {
    /// An inbox whose tables live in `database` under `namespace`; see [`migrate`](Self::migrate).
    #[must_use]
    pub fn new(database: Database, namespace: Namespace) -> Self {
        let sql = |text: &str| statement(&namespace, text);
        Self {
            one: sql("INSERT INTO {ns}inbox_processed (consumer, source, id, topic, partition, offset)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"),
            // `WHERE true` keeps the parser from reading ON as a join's.
            many: sql("INSERT INTO {ns}inbox_processed (consumer, source, id, topic, partition, offset)
                 SELECT $1, row.value ->> 0, row.value ->> 1, row.value ->> 2, row.value ->> 3, row.value ->> 4
                 FROM json_each($2) AS row WHERE true
                 ON CONFLICT DO NOTHING"),
            newest: sql("SELECT source, id FROM {ns}inbox_processed ORDER BY seq DESC LIMIT $1"),
            // What lies where its mark says is the same record again, and nothing to note; unless it was committed before:
            // then the log was made anew, or the group was set back. The first `WHERE` is not read as a join's, either.
            copies: sql("INSERT INTO {ns}inbox_redeliveries (consumer, source, id, topic, partition, offset, after_seq)
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
            sweeping: Pruning::new(&namespace),
            database,
            namespace,
        }
    }

    /// Brings the schema to this build's newest version. Safe when several processes start at once.
    ///
    /// # Errors
    /// See [`Database::migrate`].
    pub async fn migrate(&self) -> Result<(), Error> {
        Ok(self.database.migrate(&MIGRATIONS, &self.namespace).await?)
    }
}

impl SqliteInbox {
    /// The marks that the transaction's last statement added: there is one writer, so they are the newest ones. Asked
    /// for only when there are duplicates: a row that a statement returns costs three times as much as one it inserts.
    async fn newest_marks(
        &self,
        connection: &mut SqliteConnection,
        added: u64,
    ) -> Result<Vec<(String, String)>, Error> {
        if added == 0 {
            return Ok(Vec::new());
        }
        let marks = sqlx::query_as(self.newest.clone())
            .bind(i64::try_from(added).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await;
        Ok(marks.map_err(classify)?)
    }

    /// Notes where duplicates lie, so that retention keeps their marks while they may come again.
    async fn note_redeliveries(
        &self,
        connection: &mut SqliteConnection,
        consumer: &Group,
        rows: &str,
    ) -> Result<(), Error> {
        sqlx::query(self.copies.clone())
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
                let marked = self.newest_marks(connection, added).await?;
                self.note_redeliveries(connection, consumer, &rows).await?;
                Ok(answers(deliveries, &marked))
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
        let marked = sqlx::query(self.one.clone())
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
        if marked == 1 {
            return Ok(Admission::Fresh);
        }
        let rows = Rows(&[delivery]).to_json()?;
        self.note_redeliveries(connection, consumer, &rows).await?;
        Ok(Admission::Duplicate)
    }
}

/// The set as the statement takes it.
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

/// The README's example stores in SQLite, so it is tested where that feature is on.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
