//! Checkpoints and the sweep.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::{
    Transactions as _,
    memory::{Inserted, Record as _},
};
use mainstay_messaging::{Group, Position};

use super::{
    MemoryInbox,
    records::{Checkpoint, Copy, Mark},
};
use crate::{Error, MarkRetention, Swept};

#[async_trait]
impl MarkRetention for MemoryInbox {
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
            .scan::<Mark>(..)
            .iter()
            .map(|mark| mark.seq)
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

    async fn sweep(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Swept, Error> {
        let mut tx = self.database.begin().await?;
        let mut statement = tx.statement().await?;
        // Of a partition's checkpoints at or before the horizon the newest counts: in key order, the last.
        let ripe = |row: &Checkpoint| row.consumer == *consumer && row.committed_at <= horizon;
        let ripe = statement.select(.., usize::MAX, ripe);
        let newest = |position: &Position| {
            let of_partition = |row: &&Checkpoint| row.position.partition == position.partition;
            ripe.iter().rfind(of_partition)
        };
        // Whether the newest one is younger than what came behind the mark `after`, and lies above it.
        let covers = |position: &Position, after: i64| {
            newest(position)
                .is_some_and(|row| position.offset < row.position.offset && after < row.newest_seq)
        };
        let copies = statement.scan::<Copy>(..);
        let newest_covered = ripe.iter().map(|row| row.newest_seq).max().unwrap_or(0);
        let within = |mark: &Mark| mark.seq > cursor && mark.seq <= newest_covered;
        let mut marks = statement.select(.., usize::MAX, within);
        marks.sort_unstable_by_key(|mark| mark.seq);
        marks.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = marks.last().map(|mark| mark.seq);
        let mut forgotten = 0;
        for mark in marks.iter().filter(|mark| mark.consumer == *consumer) {
            let key = mark.key();
            let mut copies = copies.iter().filter(|copy| copy.mark == key);
            if covers(&mark.position, mark.seq - 1)
                && copies.all(|copy| covers(&copy.position, copy.after_seq))
            {
                forgotten += u64::from(statement.delete(&key, |_: &Mark| true).await?);
            }
        }
        if next.is_none() {
            // Copies go with their marks.
            for copy in copies.iter().filter(|copy| copy.mark.0 == *consumer) {
                if statement.get::<Mark>(&copy.mark).is_none() {
                    statement.delete(&copy.key(), |_: &Copy| true).await?;
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
        Ok(Swept { forgotten, next })
    }
}
