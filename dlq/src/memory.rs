//! A dead letter queue in the in-memory database, which behaves as on PostgreSQL: for tests and
//! simulations.

mod desk;
mod records;
mod replay;

use std::time::SystemTime;

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    memory::{Connection, Database, Statement, Strength, Wait},
};
use mainstay_inbox::store::Identity;
use mainstay_messaging::{Delivery, Group, broker::Content};

use crate::{
    Error,
    desk::FailureRecord,
    letter::{BlockedKey, DeadLetter, DeadLetterId, State},
    store::{DeadLetterDatabase, DeadLetterStore, Fault},
};
use records::{BlockedRow, BodyRow, FailureRow, LetterRow};

/// Dead letters in an in-memory database. Clones share everything.
#[derive(Clone, Debug)]
pub struct MemoryDeadLetters {
    database: Database,
}

#[async_trait]
impl DeadLetterDatabase for Database {
    type Store = MemoryDeadLetters;

    async fn open_store(&self, _: &Namespace, _: bool) -> Result<MemoryDeadLetters, Error> {
        Ok(MemoryDeadLetters::new(self))
    }
}

impl MemoryDeadLetters {
    /// Dead letters whose tables live in `database`.
    #[must_use]
    pub fn new(database: impl Into<Database>) -> Self {
        let database = database.into();
        Self { database }
    }

    /// The messages of the queue that are committed at this moment, in order: for tests. Not subject
    /// to faults.
    #[must_use]
    pub fn committed(&self) -> Vec<DeadLetter> {
        let rows = self.database.committed::<LetterRow>().into_iter();
        rows.map(|row| row.0.clone()).collect()
    }

    /// The blocked keys that are committed at this moment: for tests. Not subject to faults.
    #[must_use]
    pub fn blocked_keys(&self) -> Vec<BlockedKey> {
        let rows = self.database.committed::<BlockedRow>().into_iter();
        rows.map(|row| row.key.clone()).collect()
    }
}

#[async_trait]
impl DeadLetterStore for MemoryDeadLetters {
    type Connection = Connection;

    async fn hold(
        &self,
        connection: &mut Connection,
        consumer: &Group,
        fresh: &[&Delivery],
    ) -> Result<Vec<usize>, Error> {
        let mut statement = connection.statement().await?;
        let known = statement.select::<LetterRow>(.., usize::MAX, |row| {
            row.0.consumer == *consumer && row.0.state.is_kept()
        });
        let (mut held, mut added) = (Vec::new(), Vec::new());
        for (place, delivery) in fresh.iter().copied().enumerate() {
            if known.iter().any(|row| is_same(&row.0, delivery)) {
                held.push(place);
            } else if let Some(key) = BlockedKey::of(consumer, delivery) {
                let lock = statement.lock::<BlockedRow>(&key, Strength::KeyShare, Wait::Block);
                if lock.await?.row().is_some() {
                    held.push(place);
                    added.push(delivery);
                }
            }
        }
        drop(statement);
        if !added.is_empty() {
            let mut statement = connection.statement().await?;
            for delivery in added {
                let letter = letter(&mut statement, consumer, delivery, State::Held);
                add(&mut statement, letter, &delivery.content).await?;
            }
        }
        Ok(held)
    }

    async fn keep(
        &self,
        connection: &mut Connection,
        consumer: &Group,
        delivery: &Delivery,
        fault: &Fault,
    ) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let mut letter = letter(&mut statement, consumer, delivery, State::Dead);
        apply(&mut letter, fault, now);
        let (id, key) = (letter.id, letter.blocked_key());
        note(&mut statement, id, 0, fault).await?;
        add(&mut statement, letter, &delivery.content).await?;
        if let Some(key) = key {
            block(&mut statement, key).await?;
        }
        Ok(())
    }
}

fn is_same(letter: &DeadLetter, delivery: &Delivery) -> bool {
    let Identity { source, id, .. } = Identity::of(delivery);
    letter.source == source && letter.message_id == id
}

/// A new message of the queue.
fn letter(
    statement: &mut Statement<'_>,
    consumer: &Group,
    delivery: &Delivery,
    state: State,
) -> DeadLetter {
    let Identity { source, id, .. } = Identity::of(delivery);
    let kind = match &delivery.content {
        Content::Message(message) => Some(message.kind.to_string()),
        Content::Raw(_) => None,
    };
    DeadLetter {
        id: DeadLetterId(statement.next_value("dlq_messages_seq")),
        consumer: consumer.clone(),
        position: delivery.position.clone(),
        source: source.to_owned(),
        message_id: id.into_owned(),
        key: BlockedKey::of(consumer, delivery).map(|key| key.key),
        kind,
        state,
        failure: None,
        attempts: 0,
        retries: 0,
        error: None,
        fingerprint: None,
        kept_at: statement.now(),
        failed_at: None,
        due_at: None,
        resolved_at: None,
        revision: 0,
        job: None,
    }
}

async fn add(
    statement: &mut Statement<'_>,
    letter: DeadLetter,
    content: &Content,
) -> Result<(), Error> {
    let body = BodyRow {
        letter: letter.id,
        revision: 0,
        content: content.clone(),
    };
    // Their numbers are new, so both are.
    let _new = statement.insert(LetterRow(letter)).await?;
    let _new = statement.insert(body).await?;
    Ok(())
}

/// Makes a message the dead letter of its failure.
fn apply(letter: &mut DeadLetter, fault: &Fault, now: SystemTime) {
    let delay = fault.delay(letter.retries);
    letter.state = State::Dead;
    letter.failure = Some(fault.kind.to_owned());
    letter.attempts = letter.attempts.saturating_add(fault.attempts);
    letter.error = Some(fault.error.clone());
    letter.fingerprint = Some(fault.fingerprint.clone());
    letter.failed_at = Some(now);
    letter.due_at = delay.map(|delay| now + delay);
    letter.retries += u32::from(delay.is_some());
}

async fn note(
    statement: &mut Statement<'_>,
    letter: DeadLetterId,
    revision: u32,
    fault: &Fault,
) -> Result<(), Error> {
    let failure = FailureRecord {
        at: statement.now(),
        kind: fault.kind.to_owned(),
        attempts: fault.attempts,
        error: fault.error.clone(),
        revision,
    };
    let seq = statement.next_value("dlq_failures_seq");
    let row = FailureRow {
        seq,
        letter,
        failure,
    };
    let _new = statement.insert(row).await?;
    Ok(())
}

/// Blocks a key. A row that exists is updated, which waits for a hand-back.
async fn block(statement: &mut Statement<'_>, key: BlockedKey) -> Result<(), Error> {
    let row = BlockedRow {
        key,
        is_draining: false,
    };
    let _either = statement
        .upsert(row, |row: &mut BlockedRow| row.is_draining = false)
        .await?;
    Ok(())
}
