//! Reading rows and recording their outcome.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use mainstay_clock::Clock as _;
use mainstay_database::sqlite::Transaction;
use mainstay_messaging::envelope;
use sqlx::{Row as _, SqlStr, sqlite::SqliteRow};

use crate::{
    Error,
    delay::later,
    sql_rows::{content, position, runs, split},
    sqlite::{Inner, commit, driver, json},
    store::{Fetched, Limit, Outcome, Refusal, Row, RowRef, ShardLease},
};

impl Inner {
    pub(super) async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        let shards = json(&leases.iter().map(|lease| lease.shard).collect::<Vec<_>>())?;
        let now = envelope::micros_since_epoch(self.origin.clock().now());
        let in_flight: Vec<_> = in_flight.iter().filter_map(|at| at.in_log()).collect();
        let mut fetched = Fetched::default();
        let mut bytes = 0;
        {
            let mut rows = sqlx::query(self.statements.fetch.clone())
                .bind(&shards)
                .bind(limit.messages)
                .bind(now)
                .bind(json(&in_flight)?)
                .fetch(self.database.reader());
            while let Some(row) = rows.try_next().await.map_err(driver)? {
                let (row, size) = read(&row).map_err(driver)?;
                bytes += size;
                if bytes > limit.bytes && !fetched.rows.is_empty() {
                    fetched.more = true;
                    break;
                }
                fetched.rows.push(row);
            }
        }
        fetched.more |= fetched.rows.len() >= limit.messages as usize;
        let (delayed, head, blocked): (Option<i64>, Option<i64>, i64) =
            sqlx::query_as(self.statements.summary.clone())
                .bind(&shards)
                .bind(now)
                .fetch_one(self.database.reader())
                .await
                .map_err(driver)?;
        let next_due = delayed.into_iter().chain(head).min();
        fetched.next_due =
            next_due.map(|due| Duration::from_micros(due.saturating_sub(now).unsigned_abs()));
        fetched.blocked_keys = blocked.unsigned_abs();
        Ok(fetched)
    }

    pub(super) async fn record(
        &self,
        leases: &[ShardLease],
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let sql = &self.statements;
        let pairs: Vec<(u16, i64)> = leases
            .iter()
            .map(|lease| (lease.shard, lease.fence.as_i64()))
            .collect();
        let mut tx = self.database.begin().await?;
        let valid: i64 = sqlx::query_scalar(sql.fences.clone())
            .bind(json(&pairs)?)
            .fetch_one(&mut *tx)
            .await
            .map_err(driver)?;
        if usize::try_from(valid) != Ok(leases.len()) {
            return Err(Error::Fenced);
        }
        let (refuse_log, refuse_deferred) = split(&outcome.refused, |refusal| refusal.row_ref);
        let (hold_log, hold_deferred) = split(&outcome.held, |row_ref| *row_ref);
        let (done_log, done_deferred) = split(&outcome.acknowledged, |row_ref| *row_ref);
        let now = self.origin.clock().now();
        // In the deferred table a refused row comes before those held behind it.
        write(&mut tx, &sql.refuse_log, &refusals(now, &refuse_log)).await?;
        write(
            &mut tx,
            &sql.refuse_deferred,
            &refusals(now, &refuse_deferred),
        )
        .await?;
        write(&mut tx, &sql.hold_log, &positions(&hold_log)).await?;
        write(&mut tx, &sql.hold_deferred, &positions(&hold_deferred)).await?;
        let moved = positions(&hold_deferred);
        write(&mut tx, &sql.delete_deferred, &moved).await?;
        write(&mut tx, &sql.delete_deferred, &positions(&done_deferred)).await?;
        let mut gone = positions(&done_log);
        gone.extend(refuse_log.iter().map(|refusal| position(refusal.row_ref)));
        gone.extend(positions(&hold_log));
        write(&mut tx, &sql.delete_log, &runs(gone)).await?;
        commit(tx).await
    }
}

async fn write<T: serde::Serialize + Sync>(
    tx: &mut Transaction,
    statement: &SqlStr,
    set: &[T],
) -> Result<(), Error> {
    if set.is_empty() {
        return Ok(());
    }
    sqlx::query(statement.clone())
        .bind(json(&set)?)
        .execute(&mut **tx)
        .await
        .map_err(driver)?;
    Ok(())
}

/// A row of the fetch statement and its size in bytes.
fn read(row: &SqliteRow) -> Result<(Row, usize), sqlx::Error> {
    let (row_ref, blocked) = row_ref(row.try_get(0)?, row.try_get(1)?);
    // As bytes, because SQLite keeps any bytes as TEXT, and one damaged row must not fail the round.
    let (topic, key): (&[u8], Option<&[u8]>) = (row.try_get(3)?, row.try_get(4)?);
    let (text, payload): (&[u8], Option<&[u8]>) = (row.try_get(5)?, row.try_get(6)?);
    let size = [Some(topic), key, Some(text), payload]
        .iter()
        .flatten()
        .map(|part| part.len())
        .sum();
    let (ordering_key, content) = content(topic, key, text, payload);
    let row = Row {
        row_ref,
        ordering_key,
        blocked,
        attempts: row.try_get(2)?,
        content,
    };
    Ok((row, size))
}

/// The kinds of the fetch statement: log, delayed, blocked. Odd kinds come after a blocked row.
const fn row_ref(kind: i64, position: i64) -> (RowRef, bool) {
    match kind {
        0 | 1 => (RowRef::Log(position), kind == 1),
        2 | 3 => (RowRef::Delayed(position), kind == 3),
        _ => (RowRef::Blocked(position), false),
    }
}

fn positions(row_refs: &[RowRef]) -> Vec<i64> {
    row_refs.iter().copied().map(position).collect()
}

fn refusals(now: SystemTime, refusals: &[Refusal]) -> Vec<(i64, i64, u32, &str)> {
    refusals
        .iter()
        .map(|refusal| {
            let due_at = envelope::micros_since_epoch(later(now, refusal.retry_after));
            let (position, reason) = (position(refusal.row_ref), &*refusal.reason);
            (position, due_at, refusal.attempts, reason)
        })
        .collect()
}
