//! Checkpoints and pruning.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    sqlite::{classify, statement},
};
use mainstay_messaging::{
    Group, Position,
    envelope::{micros_since_epoch, time_of},
};
use sqlx::SqlStr;

use super::SqliteInbox;
use crate::{
    Error,
    store::{Pruned, Retention},
};

/// The statements of retention.
#[derive(Clone, Debug)]
pub(super) struct Pruning {
    checkpoint: SqlStr,
    step: SqlStr,
    delete: SqlStr,
    prune_redeliveries: SqlStr,
    thin_out: SqlStr,
}

impl Pruning {
    pub(super) fn new(namespace: &Namespace) -> Self {
        let sql = |text: &str| statement(namespace, text);
        Self {
            checkpoint: sql(
                "INSERT INTO {ns}inbox_progress (consumer, topic, partition, committed_at, offset, newest_seq)
                 SELECT $1, row.value ->> 0, row.value ->> 1, $3, row.value ->> 2,
                        (SELECT coalesce(max(seq), 0) FROM {ns}inbox_processed)
                 FROM json_each($2) AS row
                 WHERE NOT EXISTS (
                     SELECT 1 FROM {ns}inbox_progress p
                     WHERE p.consumer = $1 AND p.topic = row.value ->> 0 AND p.partition = row.value ->> 1
                       AND p.committed_at > $4)
                 ON CONFLICT DO NOTHING",
            ),
            // No further than the records that some checkpoint behind the window covers: most of
            // the table is younger.
            step: sql(
                "SELECT max(seq) FROM (
                     SELECT seq FROM {ns}inbox_processed
                     WHERE seq > $1 AND seq <= (
                         SELECT max(newest_seq) FROM {ns}inbox_progress WHERE consumer = $3 AND committed_at <= $4)
                     ORDER BY seq LIMIT $2 + 0)",
            ),
            // Of a partition's checkpoints at or before the horizon, the newest counts.
            delete: sql(
                "DELETE FROM {ns}inbox_processed AS m
                 WHERE seq > $3 AND seq <= $4 AND consumer = $1
                   AND EXISTS (
                     SELECT 1 FROM {ns}inbox_progress p
                     WHERE p.consumer = $1 AND p.topic = m.topic AND p.partition = m.partition
                       AND m.offset < p.offset AND m.seq <= p.newest_seq
                       AND p.committed_at = (
                         SELECT max(q.committed_at) FROM {ns}inbox_progress q
                         WHERE q.consumer = $1 AND q.topic = m.topic AND q.partition = m.partition
                           AND q.committed_at <= $2))
                   AND NOT EXISTS (
                     SELECT 1 FROM {ns}inbox_redeliveries c
                     WHERE c.consumer = $1 AND c.source = m.source AND c.id = m.id AND NOT EXISTS (
                       SELECT 1 FROM {ns}inbox_progress p
                       WHERE p.consumer = $1 AND p.topic = c.topic AND p.partition = c.partition
                         AND c.offset < p.offset AND c.after_seq < p.newest_seq
                         AND p.committed_at = (
                           SELECT max(q.committed_at) FROM {ns}inbox_progress q
                           WHERE q.consumer = $1 AND q.topic = c.topic AND q.partition = c.partition
                             AND q.committed_at <= $2)))",
            ),
            // Redeliveries are deleted with their processed records.
            prune_redeliveries: sql(
                "DELETE FROM {ns}inbox_redeliveries AS c WHERE consumer = $1 AND NOT EXISTS (
                     SELECT 1 FROM {ns}inbox_processed m
                     WHERE m.consumer = $1 AND m.source = c.source AND m.id = c.id)",
            ),
            thin_out: sql(
                "DELETE FROM {ns}inbox_progress AS p
                 WHERE consumer = $1 AND committed_at < (
                     SELECT max(q.committed_at) FROM {ns}inbox_progress q
                     WHERE q.consumer = $1 AND q.topic = p.topic AND q.partition = p.partition
                       AND q.committed_at <= $2)",
            ),
        }
    }
}

#[async_trait]
impl Retention for SqliteInbox {
    /// The host's time, which all processes that open the file share.
    async fn now(&self) -> Result<SystemTime, Error> {
        let micros: i64 =
            sqlx::query_scalar("SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)")
                .fetch_one(self.database.reader())
                .await
                .map_err(classify)?;
        Ok(time_of(micros))
    }

    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error> {
        let rows: Vec<_> = positions
            .iter()
            .map(|p| (p.partition.topic.as_str(), p.partition.number, p.offset))
            .collect();
        let rows = serde_json::to_string(&rows)
            .map_err(|error| mainstay_database::Error::Failed(error.into()))?;
        let at = micros_since_epoch(at);
        let spacing = i64::try_from(spacing.as_micros()).unwrap_or(i64::MAX);
        let mut tx = self.database.begin().await?;
        sqlx::query(self.pruning.checkpoint.clone())
            .bind(consumer.as_str())
            .bind(rows)
            .bind(at)
            .bind(at.saturating_sub(spacing))
            .execute(&mut *tx)
            .await
            .map_err(classify)?;
        Ok(self.database.commit(tx).await?)
    }

    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error> {
        let horizon = micros_since_epoch(horizon);
        let mut tx = self.database.begin().await?;
        let end: Option<i64> = sqlx::query_scalar(self.pruning.step.clone())
            .bind(cursor)
            .bind(limit)
            .bind(consumer.as_str())
            .bind(horizon)
            .fetch_one(&mut *tx)
            .await
            .map_err(classify)?;
        let deleted = if let Some(end) = end {
            sqlx::query(self.pruning.delete.clone())
                .bind(consumer.as_str())
                .bind(horizon)
                .bind(cursor)
                .bind(end)
                .execute(&mut *tx)
                .await
        } else {
            sqlx::query(self.pruning.prune_redeliveries.clone())
                .bind(consumer.as_str())
                .execute(&mut *tx)
                .await
                .map_err(classify)?;
            sqlx::query(self.pruning.thin_out.clone())
                .bind(consumer.as_str())
                .bind(horizon)
                .execute(&mut *tx)
                .await
        }
        .map_err(classify)?
        .rows_affected();
        self.database.commit(tx).await?;
        Ok(Pruned {
            deleted: if end.is_some() { deleted } else { 0 },
            next: end,
        })
    }
}
