//! Replays.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Strength, Wait};
use mainstay_messaging::{Delivery, Group};

use super::{
    MemoryDeadLetters, apply, note,
    records::{BlockedRow, BodyRow, FailureRow, JobRow, LetterRow, has_come},
};
use crate::{
    Error,
    desk::Totals,
    letter::{BlockedKey, DeadLetter, DeadLetterId, State},
    store::{Due, Fault, Head, ReplayStore},
};

pub(super) fn is_kept_of(letter: &DeadLetter, key: &BlockedKey) -> bool {
    letter.state.is_kept() && letter.blocked_key().as_ref() == Some(key)
}

#[async_trait]
impl ReplayStore for MemoryDeadLetters {
    async fn due(&self, consumer: &Group, limit: u32) -> Result<Vec<Due>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let now = statement.now();
        let kept = statement.select::<LetterRow>(.., usize::MAX, |row| {
            row.0.consumer == *consumer && row.0.state.is_kept()
        });
        let blocked = statement.select::<BlockedRow>(.., usize::MAX, |row| {
            let has_kept = || kept.iter().any(|letter| is_kept_of(&letter.0, &row.key));
            row.key.consumer == *consumer && (row.is_draining || !has_kept())
        });
        let keys = blocked.into_iter().map(|row| Due::Key(row.key));
        let is_due = |row: &&LetterRow| row.0.state == State::Dead && has_come(row.0.due_at, now);
        let letters = kept.iter().filter(is_due).map(|row| {
            let key = row.0.blocked_key();
            key.map_or(Due::Letter(row.0.id), Due::Key)
        });
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(keys.take(limit).chain(letters.take(limit)).collect())
    }

    async fn head(&self, connection: &mut Connection, due: &Due) -> Result<Head, Error> {
        loop {
            let mut statement = connection.statement().await?;
            let lowest = match due {
                Due::Letter(id) => statement.get::<LetterRow>(id),
                Due::Key(key) => {
                    let rows = statement.select::<LetterRow>(.., 1, |row| is_kept_of(&row.0, key));
                    rows.into_iter().next()
                }
            };
            let Some(LetterRow(lowest)) = lowest.filter(|row| row.0.state.is_kept()) else {
                return Ok(Head::Empty);
            };
            let lock = statement.lock::<LetterRow>(&lowest.id, Strength::Update, Wait::Block);
            let locked = lock.await?.row();
            drop(statement);
            let Some(LetterRow(letter)) = locked.filter(|row| row.0.state.is_kept()) else {
                continue; // Another replayer was faster: look again.
            };
            let statement = connection.statement().await?;
            let is_draining = match due {
                Due::Key(key) => {
                    let row = statement.get::<BlockedRow>(key);
                    row.is_some_and(|row| row.is_draining)
                }
                Due::Letter(_) => false,
            };
            let is_dead = letter.state == State::Dead;
            let is_due = is_dead && has_come(letter.due_at, statement.now());
            if !is_draining && !is_due {
                return Ok(Head::NotDue);
            }
            let Some(body) = statement.get::<BodyRow>(&(letter.id, letter.revision)) else {
                let source = "its body is missing".into();
                return Err(Error::Damaged {
                    id: letter.id.0,
                    source,
                });
            };
            let delivery = Delivery {
                position: letter.position,
                content: body.content,
            };
            return Ok(Head::Ready(letter.id, Box::new(delivery)));
        }
    }

    async fn replayed(
        &self,
        connection: &mut Connection,
        due: &Due,
        id: DeadLetterId,
    ) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let done = |row: &mut LetterRow| {
            row.0.state = State::Replayed;
            row.0.resolved_at = Some(now);
            row.0.due_at = None;
            true
        };
        statement.update(&id, done).await?;
        drop(statement);
        if let Due::Key(key) = due {
            drain(connection, key).await?;
        }
        Ok(())
    }

    async fn block_again(
        &self,
        connection: &mut Connection,
        due: &Due,
        id: DeadLetterId,
        fault: &Fault,
    ) -> Result<bool, Error> {
        let mut statement = connection.statement().await?;
        let lock = statement.lock::<LetterRow>(&id, Strength::Update, Wait::Block);
        let locked = lock.await?.row();
        let Some(LetterRow(letter)) = locked.filter(|row| row.0.state.is_kept()) else {
            return Ok(false);
        };
        drop(statement);
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let fail = |row: &mut LetterRow| {
            apply(&mut row.0, fault, now);
            true
        };
        statement.update(&id, fail).await?;
        note(&mut statement, id, letter.revision, fault).await?;
        if let Due::Key(key) = due {
            let block = |row: &mut BlockedRow| {
                row.is_draining = false;
                true
            };
            statement.update(key, block).await?;
        }
        Ok(true)
    }

    async fn hand_back(
        &self,
        connection: &mut Connection,
        key: &BlockedKey,
    ) -> Result<bool, Error> {
        let mut statement = connection.statement().await?;
        let lock = statement.lock::<BlockedRow>(key, Strength::Update, Wait::Block);
        if lock.await?.row().is_none() {
            return Ok(false);
        }
        drop(statement);
        // A statement of its own: it sees what was held while the lock was waited for.
        let mut statement = connection.statement().await?;
        let kept = statement.select::<LetterRow>(.., 1, |row| is_kept_of(&row.0, key));
        if !kept.is_empty() {
            return Ok(false);
        }
        Ok(statement.delete::<BlockedRow>(key, |_| true).await?)
    }

    async fn prune(
        &self,
        connection: &mut Connection,
        consumer: &Group,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error> {
        let mut statement = connection.statement().await?;
        let horizon = statement.now().checked_sub(retention);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let old = statement.select::<LetterRow>(.., limit, |row| {
            row.0.consumer == *consumer
                && !row.0.state.is_kept()
                && horizon.is_some_and(|horizon| has_come(row.0.resolved_at, horizon))
        });
        let mut pruned = 0;
        for LetterRow(letter) in old {
            let is_resolved = |row: &LetterRow| !row.0.state.is_kept();
            if !statement
                .delete::<LetterRow>(&letter.id, is_resolved)
                .await?
            {
                continue;
            }
            pruned += 1;
            for revision in 0..=letter.revision {
                statement
                    .delete::<BodyRow>(&(letter.id, revision), |_| true)
                    .await?;
            }
            let failures =
                statement.select::<FailureRow>(.., usize::MAX, |row| row.letter == letter.id);
            for failure in failures {
                statement
                    .delete::<FailureRow>(&failure.seq, |_| true)
                    .await?;
            }
        }
        drop(statement);
        let mut statement = connection.statement().await?;
        let is_over = |job: &JobRow| horizon.is_some_and(|end| has_come(job.0.finished_at, end));
        for JobRow(job) in statement.select::<JobRow>(.., limit, is_over) {
            let of_job = statement.select::<LetterRow>(.., 1, |row| row.0.job == Some(job.id));
            if of_job.is_empty() && statement.delete::<JobRow>(&job.id, is_over).await? {
                pruned += 1;
            }
        }
        Ok(pruned)
    }

    async fn totals(&self, consumer: &Group, cap: u32) -> Result<Totals, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        let count = |state| {
            let is_one = |row: &LetterRow| row.0.consumer == *consumer && row.0.state == state;
            statement.select::<LetterRow>(.., cap, is_one).len() as u64
        };
        let is_one = |row: &BlockedRow| row.key.consumer == *consumer;
        Ok(Totals {
            dead: count(State::Dead),
            held: count(State::Held),
            blocked_keys: statement.select::<BlockedRow>(.., cap, is_one).len() as u64,
        })
    }
}

/// The key goes on, message by message.
pub(super) async fn drain(connection: &mut Connection, key: &BlockedKey) -> Result<(), Error> {
    let mut statement = connection.statement().await?;
    let drain = |row: &mut BlockedRow| {
        row.is_draining = true;
        true
    };
    statement.update(key, drain).await?;
    Ok(())
}
