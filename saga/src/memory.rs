//! Sagas in the in-memory database, which behaves as PostgreSQL does: for tests and simulations.

mod desk;
mod participant;
mod records;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record as _, Strength, Wait};

use crate::{
    Error, RunId,
    definition::Fingerprint,
    store::{Created, NewRun, SagaStore, SavedRun, StoredRun},
};
use records::{EntryRow, KeyRow, RunRow};

/// Sagas in an in-memory database, and the steps of its participants. Clones share everything.
#[derive(Clone, Debug)]
pub struct MemorySagas {
    database: Database,
}

impl MemorySagas {
    /// Sagas whose tables live in `database`.
    #[must_use]
    pub fn new(database: impl Into<Database>) -> Self {
        let database = database.into();
        Self { database }
    }
}

impl RunRow {
    fn stored(self, now: SystemTime) -> StoredRun {
        let elapsed = now.duration_since(self.summary.saved_at);
        StoredRun {
            run: self.summary.run,
            key: self.summary.key,
            version: self.summary.version,
            fingerprint: self.fingerprint,
            state: self.state,
            input: self.input,
            elapsed: elapsed.unwrap_or_default(),
        }
    }

    fn is_due(&self, saga: &str, definitions: &[Fingerprint], now: SystemTime) -> bool {
        self.summary.saga == saga
            && definitions.contains(&self.fingerprint)
            && self.summary.wake_at.is_some_and(|wake| wake <= now)
    }
}

#[async_trait]
impl SagaStore for MemorySagas {
    type Connection = Connection;
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }

    async fn create(
        &self,
        connection: &mut Connection,
        run: &NewRun<'_>,
    ) -> Result<Created, Error> {
        let mut statement = connection.statement().await?;
        let key = KeyRow {
            saga: run.saga.to_owned(),
            key: run.key.to_owned(),
            run: run.run.clone(),
        };
        let place = key.key();
        if statement.insert(key).await? == Inserted::Exists {
            drop(statement);
            // The row may be younger than the snapshot of the statement that met it.
            let mut statement = connection.statement().await?;
            let lock = statement.lock::<KeyRow>(&place, Strength::KeyShare, Wait::Block);
            let found = lock.await?.row();
            drop(statement);
            if let Some(found) = found {
                return Ok(Created::Exists(found.run));
            }
            // It ended between the two statements.
            return Box::pin(self.create(connection, run)).await;
        }
        let row = RunRow::new(run, statement.now());
        let _new = statement.insert(row).await?;
        Ok(Created::New)
    }

    async fn find(
        &self,
        connection: &mut Connection,
        saga: &str,
        key: &str,
    ) -> Result<Option<RunId>, Error> {
        let statement = connection.statement().await?;
        let found = statement.get::<KeyRow>(&(saga.to_owned(), key.to_owned()));
        Ok(found.map(|found| found.run))
    }

    async fn lock(
        &self,
        connection: &mut Connection,
        saga: &str,
        runs: &[RunId],
    ) -> Result<Vec<StoredRun>, Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let mut runs = runs.to_vec();
        runs.sort_unstable();
        runs.dedup();
        let mut locked = Vec::with_capacity(runs.len());
        for run in runs {
            let lock = statement.lock::<RunRow>(&run, Strength::Update, Wait::Block);
            let row = lock.await?.row();
            locked.extend(row.filter(|row| row.summary.saga == saga));
        }
        Ok(locked.into_iter().map(|row| row.stored(now)).collect())
    }

    async fn lock_due(
        &self,
        connection: &mut Connection,
        saga: &str,
        definitions: &[Fingerprint],
        limit: u32,
    ) -> Result<Vec<StoredRun>, Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let is_due = |row: &RunRow| row.is_due(saga, definitions, now);
        let mut due = statement.select::<RunRow>(.., usize::MAX, is_due);
        due.sort_by_key(|row| row.summary.wake_at);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut locked = Vec::new();
        for row in due {
            if locked.len() == limit {
                break;
            }
            let run = row.summary.run;
            let lock = statement.lock::<RunRow>(&run, Strength::Update, Wait::SkipLocked);
            let row = lock.await?.row().filter(is_due);
            locked.extend(row.map(|row| row.stored(now)));
        }
        Ok(locked)
    }

    async fn save(&self, connection: &mut Connection, runs: &[SavedRun<'_>]) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        for saved in runs {
            let face = saved.face;
            let mut key = None;
            let change = |row: &mut RunRow| {
                let summary = &mut row.summary;
                summary.status = face.status;
                summary.is_overdue = face.is_overdue;
                summary.step.clone_from(&face.step);
                summary.saved_at = now;
                summary.wake_at = face.wake_in.map(|wake| later(now, wake));
                saved.state.clone_into(&mut row.state);
                key = Some((row.summary.saga.clone(), row.summary.key.clone()));
                true
            };
            let _found = statement.update(saved.run, change).await?;
            for entry in saved.journal {
                let number = statement.next_value("saga_journal_seq");
                let row = EntryRow {
                    run: saved.run.clone(),
                    number,
                    at: now,
                    entry: entry.clone(),
                };
                let _new = statement.insert(row).await?;
            }
            if let Some(key) = key
                && face.status.is_ended()
            {
                let is_mine = |row: &KeyRow| row.run == *saved.run;
                let _freed = statement.delete::<KeyRow>(&key, is_mine).await?;
            }
        }
        Ok(())
    }

    async fn postpone(
        &self,
        connection: &mut Connection,
        run: &RunId,
        delay: Duration,
    ) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let change = |row: &mut RunRow| {
            let is_due = row.summary.wake_at.is_some_and(|wake| wake <= now);
            if is_due {
                row.summary.wake_at = Some(later(now, delay));
            }
            is_due
        };
        let _found = statement.update(run, change).await?;
        Ok(())
    }

    async fn prune(
        &self,
        connection: &mut Connection,
        saga: &str,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let is_old = |row: &RunRow| {
            let age = now.duration_since(row.summary.saved_at).unwrap_or_default();
            row.summary.saga == saga && row.summary.status.is_ended() && age > retention
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut deleted = 0;
        for row in statement.select::<RunRow>(.., limit, is_old) {
            let run = row.summary.run;
            if !statement.delete::<RunRow>(&run, is_old).await? {
                continue;
            }
            deleted += 1;
            for entry in statement.scan::<EntryRow>((run.clone(), i64::MIN)..=(run, i64::MAX)) {
                let _deleted = statement.delete::<EntryRow>(&entry.key(), |_| true).await?;
            }
        }
        Ok(deleted)
    }
}

/// As tables keep it: to the microsecond.
fn later(now: SystemTime, delay: Duration) -> SystemTime {
    let delay = Duration::from_micros(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
    now.checked_add(delay).unwrap_or(now)
}
