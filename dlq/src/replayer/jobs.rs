//! Acts on many messages, step by step.

use std::time::SystemTime;

use mainstay_database::Transactions as _;
use mainstay_inbox::store::WorkerStore;

use super::Replayer;
use crate::{
    Error,
    desk::{AuditRecord, BulkAct, Job, JobState, Signature},
    letter::State,
    store::QueueStore,
};

/// Jobs that one look takes on.
const JOBS: u32 = 16;
/// Messages that one transaction comes to.
const STEP: u32 = 100;

impl<I, S, T> Replayer<I, S, T>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
    T: Clone + Send + Sync + 'static,
{
    /// Whether there is more to do at once.
    pub(super) async fn step_jobs(&self) -> Result<bool, Error> {
        let mut more = false;
        for id in self.queue.store().running_jobs(JOBS).await? {
            more |= self.step_job(id).await?;
        }
        Ok(more)
    }

    /// One step in one transaction: a crash repeats it, and what it has asked for stays asked for.
    async fn step_job(&self, id: i64) -> Result<bool, Error> {
        let (database, store) = (self.queue.database(), self.queue.store());
        let mut tx = database.begin().await?;
        let Some((mut job, now)) = store.claim_job(&mut tx, id).await? else {
            return Ok(false);
        };
        let allowed = allowed(&job, now);
        if allowed == 0 {
            return Ok(false);
        }
        let ids = store.job_letters(&mut tx, &job, allowed).await?;
        let is_last = ids.len() < usize::try_from(allowed).unwrap_or(usize::MAX);
        let signature = Signature::new(&job.operator, &job.reason);
        for id in ids {
            job.cursor = id;
            let Some(letter) = store.lock(&mut tx, id).await? else {
                continue;
            };
            match job.act {
                BulkAct::Replay if letter.state == State::Dead => {
                    store.request(&mut tx, id, Some(job.id)).await?;
                }
                BulkAct::Discard if letter.state.is_kept() => {
                    let first = match letter.blocked_key() {
                        Some(key) => store.first(&mut tx, &key).await?,
                        None => None,
                    };
                    let was_first = first == Some(id);
                    store
                        .resolve(&mut tx, &letter, State::Discarded, was_first)
                        .await?;
                    let entry = AuditRecord {
                        signature: &signature,
                        act: "discard",
                        letter: Some(id),
                        job: Some(job.id),
                        detail: "",
                    };
                    store.log(&mut tx, &entry).await?;
                }
                BulkAct::Replay | BulkAct::Discard => continue,
            }
            job.done += 1;
        }
        if is_last {
            job.cursor = job.last;
            job.state = JobState::Finished;
        }
        store.advance_job(&mut tx, &job).await?;
        database.commit(tx).await?;
        Ok(!is_last && job.rate.is_none())
    }
}

/// How many messages the job may come to now.
fn allowed(job: &Job, now: SystemTime) -> u32 {
    let Some(rate) = job.rate else {
        return STEP;
    };
    let since = now.duration_since(job.started_at).unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    let budget = (since.as_secs_f64() * rate).floor() as u64 + 1;
    let left = budget.saturating_sub(job.done);
    u32::try_from(left).unwrap_or(STEP).min(STEP)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::desk::Query;
    use crate::letter::DeadLetterId;

    #[test]
    fn a_job_keeps_its_rate() {
        let mut job = Job {
            id: 1,
            act: BulkAct::Replay,
            query: Query::dead(),
            rate: Some(2.5),
            operator: "ada".into(),
            reason: "fixed".into(),
            state: JobState::Running,
            started_at: SystemTime::UNIX_EPOCH,
            finished_at: None,
            cursor: DeadLetterId(0),
            last: DeadLetterId(99),
            done: 0,
            replayed: 0,
            failed: 0,
            waiting: 0,
        };
        let after = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(allowed(&job, after(0)), 1);
        job.done = 1;
        assert_eq!(allowed(&job, after(0)), 0);
        assert_eq!(allowed(&job, after(4)), 10);
        assert_eq!(allowed(&job, after(4_000_000)), STEP);
        job.rate = None;
        assert_eq!(allowed(&job, after(0)), STEP);
    }
}
