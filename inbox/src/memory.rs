//! Marks in the in-memory database, as they behave on PostgreSQL: for tests and simulations.

mod records;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::{
    Transactions,
    memory::{Connection, Database, Inserted},
};
use mainstay_messaging::{Delivery, Group, Position};

use crate::{Admission, Error, Identity, Inbox, MarkRetention, Swept};
use records::{Checkpoint, Mark};

/// Where marks draw their number from.
const SEQUENCE: &str = "inbox_marks_seq";

/// Marks in an in-memory database. Clones share everything.
#[derive(Clone, Debug)]
pub struct MemoryInbox {
    database: Database,
}

impl MemoryInbox {
    /// An inbox whose tables live in `database`.
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// How many marks there are, as a new transaction sees them.
    ///
    /// # Errors
    /// [`Error::Database`] when a fault was asked for.
    pub async fn marks(&self) -> Result<usize, Error> {
        let mut tx = self.database.begin().await?;
        Ok(tx.statement().await?.scan::<Mark>(..).len())
    }
}

#[async_trait]
impl Inbox for MemoryInbox {
    type Connection = Connection;

    async fn admit_batch(
        &self,
        connection: &mut Connection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, Error> {
        // One statement has one snapshot, as `INSERT … SELECT … ON CONFLICT DO NOTHING` has.
        let mut statement = connection.statement().await?;
        let mut admissions = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let Identity { source, id } = Identity::of(delivery);
            let mark = Mark {
                consumer: consumer.clone(),
                source: source.to_owned(),
                id: id.into_owned(),
                position: delivery.position.clone(),
                seq: statement.next_value(SEQUENCE),
            };
            admissions.push(match statement.insert(mark).await? {
                Inserted::New => Admission::Fresh,
                Inserted::Exists => Admission::Duplicate,
            });
        }
        Ok(admissions)
    }
}

#[async_trait]
impl MarkRetention for MemoryInbox {
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
        let newest_covered = ripe.iter().map(|row| row.newest_seq).max().unwrap_or(0);
        let within = |mark: &Mark| mark.seq > cursor && mark.seq <= newest_covered;
        let mut marks = statement.select(.., usize::MAX, within);
        marks.sort_unstable_by_key(|mark| mark.seq);
        marks.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = marks.last().map(|mark| mark.seq);
        let mut forgotten = 0;
        for mark in marks.iter().filter(|mark| mark.consumer == *consumer) {
            let covered = newest(&mark.position).is_some_and(|checkpoint| {
                mark.position.offset < checkpoint.position.offset
                    && mark.seq <= checkpoint.newest_seq
            });
            if covered {
                forgotten += u64::from(statement.delete(&mark_key(mark), |_: &Mark| true).await?);
            }
        }
        if next.is_none() {
            for checkpoint in &ripe {
                let superseded = newest(&checkpoint.position)
                    .is_some_and(|newest| newest.committed_at > checkpoint.committed_at);
                if superseded {
                    let key = mainstay_database::memory::Record::key(checkpoint);
                    statement.delete(&key, |_: &Checkpoint| true).await?;
                }
            }
        }
        drop(statement);
        self.database.commit(tx).await?;
        Ok(Swept { forgotten, next })
    }
}

fn mark_key(mark: &Mark) -> records::MarkKey {
    mainstay_database::memory::Record::key(mark)
}
