//! Checkpoints and pruning.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{classify, statement},
};
use mainstay_messaging::{
    Group, Position,
    envelope::{micros_since_epoch, time_of},
};
use sqlx::SqlStr;

use super::{PostgresInbox, settled::Settling};
use crate::{
    Error,
    store::{Pruned, Retention},
};

/// The statements of retention.
#[derive(Clone, Debug)]
pub(super) struct Pruning {
    settling: Settling,
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
            settling: Settling::new(namespace),
            // Records that an earlier checkpoint covered are settled, whichever process recorded
            // it.
            checkpoint: sql(
                "INSERT INTO {ns}inbox_progress (consumer, topic, partition, committed_at, \"offset\", newest_seq)
                 SELECT $1, row.topic, row.partition, $5, row.\"offset\",
                        greatest($7, (SELECT max(newest_seq) FROM {ns}inbox_progress))
                 FROM UNNEST($2::text[], $3::int4[], $4::int8[]) AS row (topic, partition, \"offset\")
                 WHERE NOT EXISTS (
                     SELECT 1 FROM {ns}inbox_progress p
                     WHERE p.consumer = $1 AND p.topic = row.topic AND p.partition = row.partition
                       AND p.committed_at > $6)
                 ON CONFLICT DO NOTHING",
            ),
            // No further than the records that some checkpoint behind the window covers: most of
            // the table is younger.
            step: sql(
                "SELECT max(seq) FROM (
                     SELECT seq FROM {ns}inbox_processed
                     WHERE seq > $1 AND seq <= (
                         SELECT max(newest_seq) FROM {ns}inbox_progress WHERE consumer = $3 AND committed_at <= $4)
                     ORDER BY seq LIMIT $2) AS step",
            ),
            // Of a partition's checkpoints at or before the horizon, the newest counts.
            delete: sql(
                "DELETE FROM {ns}inbox_processed AS m
                 WHERE seq > $3 AND seq <= $4 AND consumer = $1
                   AND EXISTS (
                     SELECT 1 FROM {ns}inbox_progress p
                     WHERE p.consumer = $1 AND p.topic = m.topic AND p.partition = m.partition
                       AND m.\"offset\" < p.\"offset\" AND m.seq <= p.newest_seq
                       AND p.committed_at = (
                         SELECT max(q.committed_at) FROM {ns}inbox_progress q
                         WHERE q.consumer = $1 AND q.topic = m.topic AND q.partition = m.partition
                           AND q.committed_at <= $2))
                   AND NOT EXISTS (
                     SELECT 1 FROM {ns}inbox_redeliveries c
                     WHERE c.consumer = $1 AND c.source = m.source AND c.id = m.id AND NOT EXISTS (
                       SELECT 1 FROM {ns}inbox_progress p
                       WHERE p.consumer = $1 AND p.topic = c.topic AND p.partition = c.partition
                         AND c.\"offset\" < p.\"offset\" AND c.after_seq < p.newest_seq
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
impl Retention for PostgresInbox {
    async fn now(&self) -> Result<SystemTime, Error> {
        let mut tx = self.database.begin().await?;
        let micros: i64 =
            sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
                .persistent(self.database.keeps_statements())
                .fetch_one(&mut *tx)
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
        let topics: Vec<_> = positions
            .iter()
            .map(|p| p.partition.topic.as_str())
            .collect();
        let partitions: Vec<_> = positions.iter().map(|p| p.partition.number).collect();
        let offsets: Vec<_> = positions.iter().map(|p| p.offset).collect();
        let at = micros_since_epoch(at);
        let spacing = i64::try_from(spacing.as_micros()).unwrap_or(i64::MAX);
        let keep = self.database.keeps_statements();
        let mut tx = self.database.begin().await?;
        let settled = self
            .pruning
            .settling
            .look(&mut tx, &self.settled, keep)
            .await
            .map_err(classify)?;
        sqlx::query(self.pruning.checkpoint.clone())
            .persistent(keep)
            .bind(consumer.as_str())
            .bind(topics)
            .bind(partitions)
            .bind(offsets)
            .bind(at)
            .bind(at.saturating_sub(spacing))
            .bind(settled)
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
        let keep = self.database.keeps_statements();
        let mut tx = self.database.begin().await?;
        let end: Option<i64> = sqlx::query_scalar(self.pruning.step.clone())
            .persistent(keep)
            .bind(cursor)
            .bind(i64::from(limit))
            .bind(consumer.as_str())
            .bind(horizon)
            .fetch_one(&mut *tx)
            .await
            .map_err(classify)?;
        let deleted = if let Some(end) = end {
            sqlx::query(self.pruning.delete.clone())
                .persistent(keep)
                .bind(consumer.as_str())
                .bind(horizon)
                .bind(cursor)
                .bind(end)
                .execute(&mut *tx)
                .await
        } else {
            sqlx::query(self.pruning.prune_redeliveries.clone())
                .persistent(keep)
                .bind(consumer.as_str())
                .execute(&mut *tx)
                .await
                .map_err(classify)?;
            sqlx::query(self.pruning.thin_out.clone())
                .persistent(keep)
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
