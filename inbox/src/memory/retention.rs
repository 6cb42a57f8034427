//! Checkpoints and pruning.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::memory::{Inserted, Record as _};
use mainstay_messaging::{Group, Position};

use super::{
    MemoryInbox,
    records::{Checkpoint, Processed, Redelivery},
};
use crate::{
    Error,
    store::{Pruned, Retention},
};

#[async_trait]
impl Retention for MemoryInbox {
    async fn now(&self) -> Result<SystemTime, Error> {
        let mut tx = self.database.begin().await?;
        Ok(tx.statement().await?.now())
    }

    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let mut statement = tx.statement().await?;
        let newest_seq = statement
            .scan::<Processed>(..)
            .iter()
            .map(|record| record.seq)
            .max()
            .unwrap_or(0);
        for position in positions {
            let recent = |row: &Checkpoint| {
                row.consumer == *consumer
                    && row.position.partition == position.partition
                    && row.committed_at > at - spacing
            };
            if statement.select(.., 1, recent).is_empty() {
                let row = Checkpoint {
                    consumer: consumer.clone(),
                    committed_at: at,
                    position: position.clone(),
                    newest_seq,
                };
                match statement.insert(row).await? {
                    Inserted::New | Inserted::Exists => {}
                }
            }
        }
        drop(statement);
        Ok(self.database.commit(tx).await?)
    }

    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error> {
        let mut tx = self.database.begin().await?;
        let mut statement = tx.statement().await?;
        // Of a partition's checkpoints at or before the horizon, the newest counts: in key order,
        // the last.
        let ripe = |row: &Checkpoint| row.consumer == *consumer && row.committed_at <= horizon;
        let ripe = statement.select(.., usize::MAX, ripe);
        let newest = |position: &Position| {
            let of_partition = |row: &&Checkpoint| row.position.partition == position.partition;
            ripe.iter().rfind(of_partition)
        };
        // Whether the newest one knows a record behind number `after`, and lies above the position.
        let covers = |position: &Position, after: i64| {
            newest(position)
                .is_some_and(|row| position.offset < row.position.offset && after < row.newest_seq)
        };
        let redeliveries = statement.scan::<Redelivery>(..);
        let newest_covered = ripe.iter().map(|row| row.newest_seq).max().unwrap_or(0);
        let within = |record: &Processed| record.seq > cursor && record.seq <= newest_covered;
        let mut records = statement.select(.., usize::MAX, within);
        records.sort_unstable_by_key(|record| record.seq);
        records.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = records.last().map(|record| record.seq);
        let mut deleted = 0;
        for record in records.iter().filter(|record| record.consumer == *consumer) {
            let key = record.key();
            let mut others = redeliveries.iter().filter(|other| other.record == key);
            if covers(&record.position, record.seq - 1)
                && others.all(|other| covers(&other.position, other.after_seq))
            {
                deleted += u64::from(statement.delete(&key, |_: &Processed| true).await?);
            }
        }
        if next.is_none() {
            // Redeliveries are deleted with their processed records.
            for other in redeliveries
                .iter()
                .filter(|other| other.record.0 == *consumer)
            {
                if statement.get::<Processed>(&other.record).is_none() {
                    statement
                        .delete(&other.key(), |_: &Redelivery| true)
                        .await?;
                }
            }
            for checkpoint in &ripe {
                let superseded = newest(&checkpoint.position)
                    .is_some_and(|newest| newest.committed_at > checkpoint.committed_at);
                if superseded {
                    statement
                        .delete(&checkpoint.key(), |_: &Checkpoint| true)
                        .await?;
                }
            }
        }
        drop(statement);
        self.database.commit(tx).await?;
        Ok(Pruned { deleted, next })
    }
}
