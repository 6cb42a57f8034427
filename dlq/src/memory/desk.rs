//! What operators see and change.

use std::{collections::BTreeMap, time::SystemTime};

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Statement, Strength, Wait};
use mainstay_messaging::{Group, broker::Content};

use super::{
    MemoryDeadLetters, block,
    records::{AuditRow, BodyRow, FailureRow, JobRow, LetterRow},
    replay::{drain, is_kept_of},
};
use crate::{
    Error,
    desk::{AuditEntry, AuditRecord, Details, FailureGroup, Job, JobState, NewJob, Query},
    letter::{BlockedKey, DeadLetter, DeadLetterId, State},
    store::DeskStore,
};

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The job as the store hands it out, with its counts.
fn counted(statement: &Statement<'_>, mut job: Job) -> Job {
    let asked = statement.select::<LetterRow>(.., usize::MAX, |row| row.0.job == Some(job.id));
    for LetterRow(letter) in asked {
        match (letter.state, letter.due_at) {
            (State::Replayed, _) => job.replayed += 1,
            (State::Dead, Some(_)) => job.waiting += 1,
            _ => job.failed += 1,
        }
    }
    job
}

#[async_trait]
impl DeskStore for MemoryDeadLetters {
    async fn groups(
        &self,
        consumer: Option<&Group>,
        limit: u32,
        cap: u32,
    ) -> Result<Vec<FailureGroup>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let dead = statement.select::<LetterRow>(.., usize::MAX, |row| {
            row.0.state == State::Dead
                && consumer.is_none_or(|consumer| row.0.consumer == *consumer)
        });
        let mut groups: BTreeMap<String, FailureGroup> = BTreeMap::new();
        for LetterRow(letter) in dead {
            let fingerprint = letter.fingerprint.clone().unwrap_or_default();
            let group = groups
                .entry(fingerprint.clone())
                .or_insert_with(|| FailureGroup {
                    fingerprint,
                    count: 0,
                    more: false,
                    first_seen: letter.kept_at,
                    last_seen: letter.kept_at,
                    example: letter.clone(),
                });
            group.more = group.count >= u64::from(cap);
            group.count = (group.count + 1).min(u64::from(cap));
            group.last_seen = letter.kept_at;
            group.example = letter;
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.example.id));
        groups.truncate(size(limit));
        Ok(groups)
    }

    async fn list(
        &self,
        query: &Query,
        before: Option<DeadLetterId>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let rows = statement.select::<LetterRow>(.., usize::MAX, |row| {
            before.is_none_or(|before| row.0.id < before) && query.matches(&row.0)
        });
        let newest = rows.into_iter().rev().take(size(limit));
        Ok(newest.map(|row| row.0).collect())
    }

    async fn count(&self, query: &Query, cap: u32) -> Result<u64, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let rows = statement.select::<LetterRow>(.., size(cap), |row| query.matches(&row.0));
        Ok(rows.len() as u64)
    }

    async fn show(&self, id: DeadLetterId) -> Result<Option<Details>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let Some(LetterRow(letter)) = statement.get::<LetterRow>(&id) else {
            return Ok(None);
        };
        let Some(body) = statement.get::<BodyRow>(&(id, letter.revision)) else {
            let source = "its body is missing".into();
            return Err(Error::Damaged { id: id.0, source });
        };
        let failures = statement.select::<FailureRow>(.., usize::MAX, |row| row.letter == id);
        let held = letter.blocked_key().map_or(0, |key| {
            let is_behind = |row: &LetterRow| row.0.id > id && is_kept_of(&row.0, &key);
            statement.select::<LetterRow>(.., 1_000, is_behind).len() as u64
        });
        let newest = failures.into_iter().rev().take(100);
        Ok(Some(Details {
            letter,
            content: body.content,
            failures: newest.map(|row| row.failure).collect(),
            held,
        }))
    }

    async fn body(
        &self,
        id: DeadLetterId,
        revision: Option<u32>,
    ) -> Result<Option<Content>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let newest = || statement.get::<LetterRow>(&id).map(|row| row.0.revision);
        let Some(revision) = revision.or_else(newest) else {
            return Ok(None);
        };
        let body = statement.get::<BodyRow>(&(id, revision));
        Ok(body.map(|body| body.content))
    }

    async fn lock(
        &self,
        connection: &mut Connection,
        id: DeadLetterId,
    ) -> Result<Option<DeadLetter>, Error> {
        let mut statement = connection.statement().await?;
        let lock = statement.lock::<LetterRow>(&id, Strength::Update, Wait::Block);
        Ok(lock.await?.row().map(|row| row.0))
    }

    async fn first(
        &self,
        connection: &mut Connection,
        key: &BlockedKey,
    ) -> Result<Option<DeadLetterId>, Error> {
        let statement = connection.statement().await?;
        let rows = statement.select::<LetterRow>(.., 1, |row| is_kept_of(&row.0, key));
        Ok(rows.first().map(|row| row.0.id))
    }

    async fn request(
        &self,
        connection: &mut Connection,
        id: DeadLetterId,
        job: Option<i64>,
    ) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let request = |row: &mut LetterRow| {
            row.0.due_at = Some(now);
            row.0.job = job.or(row.0.job);
            true
        };
        statement.update(&id, request).await?;
        Ok(())
    }

    async fn resolve(
        &self,
        connection: &mut Connection,
        letter: &DeadLetter,
        state: State,
        was_first: bool,
    ) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let set = |row: &mut LetterRow| {
            row.0.state = state;
            row.0.resolved_at = (!state.is_kept()).then_some(now);
            row.0.due_at = None;
            true
        };
        statement.update(&letter.id, set).await?;
        drop(statement);
        let Some(key) = letter.blocked_key() else {
            return Ok(());
        };
        if state.is_kept() {
            block(&mut connection.statement().await?, key).await?;
        } else if was_first {
            drain(connection, &key).await?;
        }
        Ok(())
    }

    async fn revise(
        &self,
        connection: &mut Connection,
        letter: &DeadLetter,
        content: &Content,
    ) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let revision = letter.revision + 1;
        let kind = content.message().map(|message| message.kind.to_string());
        let revise = |row: &mut LetterRow| {
            row.0.revision = revision;
            row.0.kind.clone_from(&kind);
            true
        };
        statement.update(&letter.id, revise).await?;
        let body = BodyRow {
            letter: letter.id,
            revision,
            content: content.clone(),
        };
        let _new = statement.insert(body).await?;
        Ok(())
    }

    async fn log(&self, connection: &mut Connection, entry: &AuditRecord<'_>) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let entry = AuditEntry {
            id: statement.next_value("dlq_audit_seq"),
            at: statement.now(),
            operator: entry.signature.operator.clone(),
            reason: entry.signature.reason.clone(),
            act: entry.act.to_owned(),
            letter: entry.letter,
            job: entry.job,
            detail: entry.detail.to_owned(),
        };
        let _new = statement.insert(AuditRow(entry)).await?;
        Ok(())
    }

    async fn audit(
        &self,
        letter: Option<DeadLetterId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let rows = statement.select::<AuditRow>(.., usize::MAX, |row| {
            before.is_none_or(|before| row.0.id < before)
                && letter.is_none_or(|letter| row.0.letter == Some(letter))
        });
        let newest = rows.into_iter().rev().take(size(limit));
        Ok(newest.map(|row| row.0).collect())
    }

    async fn add_job(&self, connection: &mut Connection, job: &NewJob<'_>) -> Result<i64, Error> {
        let mut statement = connection.statement().await?;
        let letters = statement.scan::<LetterRow>(..);
        let id = statement.next_value("dlq_jobs_seq");
        let row = Job {
            id,
            act: job.act,
            query: job.query.clone(),
            rate: job.rate,
            operator: job.signature.operator.clone(),
            reason: job.signature.reason.clone(),
            state: JobState::Running,
            started_at: statement.now(),
            finished_at: None,
            cursor: DeadLetterId(0),
            last: letters.last().map_or(DeadLetterId(0), |row| row.0.id),
            done: 0,
            replayed: 0,
            failed: 0,
            waiting: 0,
        };
        let _new = statement.insert(JobRow(row)).await?;
        Ok(id)
    }

    async fn jobs(&self, limit: u32) -> Result<Vec<Job>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let newest = statement.scan::<JobRow>(..).into_iter().rev();
        let newest = newest.take(size(limit));
        Ok(newest.map(|row| counted(&statement, row.0)).collect())
    }

    async fn running_jobs(&self, limit: u32) -> Result<Vec<i64>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let is_running = |row: &JobRow| row.0.state == JobState::Running;
        let rows = statement.select::<JobRow>(.., size(limit), is_running);
        Ok(rows.into_iter().map(|row| row.0.id).collect())
    }

    async fn job(&self, id: i64) -> Result<Option<Job>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let row = statement.get::<JobRow>(&id);
        Ok(row.map(|row| counted(&statement, row.0)))
    }

    async fn claim_job(
        &self,
        connection: &mut Connection,
        id: i64,
    ) -> Result<Option<(Job, SystemTime)>, Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let lock = statement.lock::<JobRow>(&id, Strength::Update, Wait::SkipLocked);
        let row = lock.await?.row();
        let running = row.filter(|row| row.0.state == JobState::Running);
        Ok(running.map(|row| (row.0, now)))
    }

    async fn job_letters(
        &self,
        connection: &mut Connection,
        job: &Job,
        limit: u32,
    ) -> Result<Vec<DeadLetterId>, Error> {
        let statement = connection.statement().await?;
        let rows = statement.select::<LetterRow>(.., size(limit), |row| {
            let is_in_reach = row.0.id > job.cursor && row.0.id <= job.last;
            is_in_reach && row.0.state.is_kept() && job.query.matches(&row.0)
        });
        Ok(rows.into_iter().map(|row| row.0.id).collect())
    }

    async fn advance_job(&self, connection: &mut Connection, job: &Job) -> Result<(), Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let advance = |row: &mut JobRow| {
            row.0.cursor = job.cursor;
            row.0.done = job.done;
            row.0.state = job.state;
            row.0.finished_at = (job.state != JobState::Running).then_some(now);
            true
        };
        statement.update(&job.id, advance).await?;
        Ok(())
    }
}
