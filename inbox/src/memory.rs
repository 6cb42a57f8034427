//! Processed records in the in-memory database, which behave as on PostgreSQL: for tests and
//! simulations.

mod records;
mod retention;

use std::collections::BTreeMap;

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record as _};
use mainstay_messaging::{Delivery, Group};

use crate::{
    Admission, Error, Inbox,
    store::{Identity, WorkerStore},
};
use records::{Checkpoint, Processed, Redelivery};

/// The sequence that numbers processed records.
const SEQUENCE: &str = "inbox_processed_seq";

/// An inbox in an in-memory database. Clones share everything.
#[derive(Clone, Debug)]
pub struct MemoryInbox {
    database: Database,
}

impl MemoryInbox {
    /// An inbox whose tables live in `database`.
    #[must_use]
    pub fn new(database: impl Into<Database>) -> Self {
        let database = database.into();
        Self { database }
    }

    /// The processed records that are committed at this moment, as (consumer, source, id): for
    /// tests. Not subject to faults.
    #[must_use]
    pub fn processed(&self) -> Vec<(Group, String, String)> {
        let records = self.database.committed::<Processed>().into_iter();
        records.map(|record| record.key()).collect()
    }

    /// How many processed records a new transaction sees.
    ///
    /// # Errors
    /// [`Error::Database`] when the test asked for a fault.
    pub async fn count_processed(&self) -> Result<usize, Error> {
        let mut tx = self.database.begin().await?;
        Ok(tx.statement().await?.scan::<Processed>(..).len())
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
            let record = Processed {
                consumer: consumer.clone(),
                source: source.to_owned(),
                id: id.into_owned(),
                position: delivery.position.clone(),
                seq: statement.next_value(SEQUENCE),
            };
            admissions.push(match statement.insert(record).await? {
                Inserted::New => Admission::Fresh,
                Inserted::Exists => Admission::Duplicate,
            });
        }
        drop(statement);
        if admissions.contains(&Admission::Duplicate) {
            note_redeliveries(connection, consumer, deliveries).await?;
        }
        Ok(admissions)
    }
}

impl WorkerStore for MemoryInbox {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }
}

/// Records the positions of duplicates, so that retention keeps their processed records while they
/// may come again.
async fn note_redeliveries(
    connection: &mut Connection,
    consumer: &Group,
    deliveries: &[&Delivery],
) -> Result<(), Error> {
    let mut statement = connection.statement().await?;
    let records = statement.scan::<Processed>(..);
    let checkpoints = statement.scan::<Checkpoint>(..);
    let newest = checkpoints.iter().map(|row| row.newest_seq);
    let after_seq = newest.chain(records.iter().map(|record| record.seq)).max();
    // A statement does not see its own inserts, so the highest position per partition is found
    // first.
    let mut redeliveries: BTreeMap<_, Redelivery> = BTreeMap::new();
    for delivery in deliveries {
        let Identity { source, id } = Identity::of(delivery);
        let key = (consumer.clone(), source.to_owned(), id.into_owned());
        let Some(record) = statement.get::<Processed>(&key) else {
            continue;
        };
        // A delivery at the position of its processed record is the same one again, and is not
        // recorded, unless its offset was committed before: then the log was created anew, or the
        // group's offset was reset.
        let was_committed = |row: &Checkpoint| {
            row.consumer == *consumer
                && row.position.partition == record.position.partition
                && row.position.offset > record.position.offset
        };
        if record.position == delivery.position && !checkpoints.iter().any(was_committed) {
            continue;
        }
        let redelivery = Redelivery {
            record: key,
            position: delivery.position.clone(),
            after_seq: after_seq.unwrap_or(0),
        };
        let highest = redeliveries
            .entry(redelivery.key())
            .or_insert_with(|| redelivery.clone());
        highest.position.offset = highest.position.offset.max(redelivery.position.offset);
    }
    for (key, redelivery) in redeliveries {
        if let Inserted::Exists = statement.insert(redelivery.clone()).await? {
            let raise = |known: &mut Redelivery| {
                known.position.offset = known.position.offset.max(redelivery.position.offset);
                known.after_seq = redelivery.after_seq;
                true
            };
            statement.update(&key, raise).await?;
        }
    }
    Ok(())
}
