//! Acts on many messages, in the background.

use mainstay_database::Transactions as _;
use mainstay_inbox::store::WorkerStore;

use super::{AuditRecord, BulkAct, Desk, Job, JobState, NewJob, Query, Signature};
use crate::{Error, letter::State, store::QueueStore};

impl<I, S> Desk<I, S>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    /// Starts a job that replays the dead letters that match `query` and are in the queue now, at
    /// most `rate` a second. Answers with its number.
    ///
    /// Replayers work on it. It survives restarts, and goes on past a message that fails again.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the job was started: see [`jobs`](Self::jobs).
    pub async fn replay_all(
        &self,
        query: Query,
        rate: Option<f64>,
        by: &Signature,
    ) -> Result<i64, Error> {
        let query = query.state(State::Dead);
        self.start(BulkAct::Replay, &query, rate, by).await
    }

    /// Starts a job that discards the kept messages that match `query` and are in the queue now. As
    /// [`replay_all`](Self::replay_all).
    ///
    /// # Errors
    /// As [`replay_all`](Self::replay_all).
    ///
    /// # Cancel safety
    /// As [`replay_all`](Self::replay_all).
    pub async fn discard_all(
        &self,
        query: Query,
        rate: Option<f64>,
        by: &Signature,
    ) -> Result<i64, Error> {
        self.start(BulkAct::Discard, &query, rate, by).await
    }

    /// How far a job is.
    ///
    /// # Errors
    /// [`Error::NoJob`], [`Error::Database`].
    pub async fn job(&self, id: i64) -> Result<Job, Error> {
        let job = self.queue.store().job(id).await?;
        job.ok_or(Error::NoJob(id))
    }

    /// The newest jobs, at most `limit`, up to 1,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn jobs(&self, limit: u32) -> Result<Vec<Job>, Error> {
        let limit = limit.clamp(1, super::LONGEST);
        self.queue.store().jobs(limit).await
    }

    /// Ends a job before it has come to all of its messages. What it has asked for stays asked for.
    ///
    /// # Errors
    /// [`Error::NoJob`] if there is none that runs; [`Error::Unsigned`]; [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the job was ended; doing it again is safe.
    pub async fn cancel_job(&self, id: i64, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let (database, store) = (self.queue.database(), self.queue.store());
        let mut tx = database.begin().await?;
        let claimed = store.claim_job(&mut tx, id).await?;
        let (mut job, _) = claimed.ok_or(Error::NoJob(id))?;
        job.state = JobState::Cancelled;
        store.advance_job(&mut tx, &job).await?;
        log(store, &mut tx, by, "cancel_job", id, "").await?;
        Ok(database.commit(tx).await?)
    }

    async fn start(
        &self,
        act: BulkAct,
        query: &Query,
        rate: Option<f64>,
        by: &Signature,
    ) -> Result<i64, Error> {
        by.check()?;
        let (database, store) = (self.queue.database(), self.queue.store());
        let mut tx = database.begin().await?;
        let job = NewJob {
            act,
            query,
            rate: rate.filter(|rate| rate.is_finite() && *rate > 0.0),
            signature: by,
        };
        let id = store.add_job(&mut tx, &job).await?;
        let detail = serde_json::to_string(query).unwrap_or_default();
        log(store, &mut tx, by, "start_job", id, &detail).await?;
        database.commit(tx).await?;
        self.queue.notify();
        Ok(id)
    }
}

async fn log<S: QueueStore>(
    store: &S,
    connection: &mut S::Connection,
    signature: &Signature,
    act: &str,
    job: i64,
    detail: &str,
) -> Result<(), Error> {
    let entry = AuditRecord {
        signature,
        act,
        letter: None,
        job: Some(job),
        detail,
    };
    store.log(connection, &entry).await
}
