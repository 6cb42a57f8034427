//! Marks in the in-memory database, as they behave on PostgreSQL: for tests and simulations.

mod records;
mod retention;

use std::collections::BTreeMap;

use async_trait::async_trait;
use mainstay_database::{
    Transactions,
    memory::{Connection, Database, Inserted, Record as _},
};
use mainstay_messaging::{Delivery, Group};

use crate::{Admission, Error, Identity, Inbox};
use records::{Checkpoint, Copy, Mark};

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

    /// The marks that are committed at this moment, past all faults, as (consumer, source, id): for those who judge a run.
    #[must_use]
    pub fn look(&self) -> Vec<(Group, String, String)> {
        let marks = self.database.committed::<Mark>().into_iter();
        marks.map(|mark| mark.key()).collect()
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
        drop(statement);
        if admissions.contains(&Admission::Duplicate) {
            note_copies(connection, consumer, deliveries).await?;
        }
        Ok(admissions)
    }
}

/// Notes where duplicates lie, so that retention keeps their marks while they may come again.
async fn note_copies(
    connection: &mut Connection,
    consumer: &Group,
    deliveries: &[&Delivery],
) -> Result<(), Error> {
    let mut statement = connection.statement().await?;
    let marks = statement.scan::<Mark>(..);
    let checkpoints = statement.scan::<Checkpoint>(..);
    let newest = checkpoints.iter().map(|row| row.newest_seq);
    let after_seq = newest.chain(marks.iter().map(|mark| mark.seq)).max();
    // A statement does not see what it inserted itself: of each partition the highest one, at once.
    let mut copies: BTreeMap<_, Copy> = BTreeMap::new();
    for delivery in deliveries {
        let Identity { source, id } = Identity::of(delivery);
        let key = (consumer.clone(), source.to_owned(), id.into_owned());
        let Some(mark) = statement.get::<Mark>(&key) else {
            continue;
        };
        // What lies where its mark says is the same record again, and nothing to note; unless it was committed before:
        // then the log was made anew, or the group was set back.
        let was_committed = |row: &Checkpoint| {
            row.consumer == *consumer
                && row.position.partition == mark.position.partition
                && row.position.offset > mark.position.offset
        };
        if mark.position == delivery.position && !checkpoints.iter().any(was_committed) {
            continue;
        }
        let copy = Copy {
            mark: key,
            position: delivery.position.clone(),
            after_seq: after_seq.unwrap_or(0),
        };
        let highest = copies.entry(copy.key()).or_insert_with(|| copy.clone());
        highest.position.offset = highest.position.offset.max(copy.position.offset);
    }
    for (key, copy) in copies {
        if let Inserted::Exists = statement.insert(copy.clone()).await? {
            let raise = |known: &mut Copy| {
                known.position.offset = known.position.offset.max(copy.position.offset);
                known.after_seq = copy.after_seq;
                true
            };
            statement.update(&key, raise).await?;
        }
    }
    Ok(())
}
