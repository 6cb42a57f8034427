//! Reading rows, and writing down what became of them.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use mainstay_clock::Clock as _;
use mainstay_database::{Transactions as _, sqlite::Transaction};
use mainstay_messaging::envelope;
use sqlx::{Row as _, SqlStr, sqlite::SqliteRow};

use crate::{
    Error, Fetched, Limit, Outcome, Row, RowRef, ShardLease, Stop,
    due::later,
    sql_rows::{content, position, runs, split},
    sqlite::{Inner, driver, json},
};

impl Inner {
    pub(super) async fn fetch(&self, holds: &[ShardLease], limit: Limit) -> Result<Fetched, Error> {
        let shards = json(&holds.iter().map(|hold| hold.shard).collect::<Vec<_>>())?;
        let now = envelope::micros_since_epoch(self.options.clock.now());
        let mut fetched = Fetched::default();
        let mut bytes = 0;
        {
            let mut rows = sqlx::query(self.statements.fetch.clone())
                .bind(&shards)
                .bind(limit.messages)
                .bind(now)
                .fetch(self.database.reader());
            while let Some(row) = rows.try_next().await.map_err(driver)? {
                let (row, size) = read(&row).map_err(driver)?;
                bytes += size;
                if bytes > limit.bytes && !fetched.rows.is_empty() {
                    break;
                }
                fetched.rows.push(row);
            }
        }
        let (delayed, head, stopped): (Option<i64>, Option<i64>, i64) =
            sqlx::query_as(self.statements.held.clone())
                .bind(&shards)
                .bind(now)
                .fetch_one(self.database.reader())
                .await
                .map_err(driver)?;
        let next_due = delayed.into_iter().chain(head).min();
        fetched.next_due =
            next_due.map(|due| Duration::from_micros(due.saturating_sub(now).unsigned_abs()));
        fetched.blocked_keys = stopped.unsigned_abs();
        Ok(fetched)
    }

    pub(super) async fn record(
        &self,
        holds: &[ShardLease],
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let sql = &self.statements;
        let pairs: Vec<(u16, i64)> = holds.iter().map(|hold| (hold.shard, hold.fence)).collect();
        let mut tx = self.database.begin().await?;
        let valid: i64 = sqlx::query_scalar(sql.fences.clone())
            .bind(json(&pairs)?)
            .fetch_one(&mut *tx)
            .await
            .map_err(driver)?;
        if usize::try_from(valid) != Ok(holds.len()) {
            return Err(Error::Fenced);
        }
        let (stop_log, stop_held) = split(&outcome.stopped, |stop| stop.place);
        let (follow_log, follow_held) = split(&outcome.following, |place| *place);
        let (done_log, done_held) = split(&outcome.acknowledged, |place| *place);
        let now = self.options.clock.now();
        // A stopped row lies before its followers in the deferred table: it is written first.
        write(&mut tx, &sql.stop_log, &stops(now, &stop_log)).await?;
        write(&mut tx, &sql.stop_held, &stops(now, &stop_held)).await?;
        write(&mut tx, &sql.follow_log, &positions(&follow_log)).await?;
        write(&mut tx, &sql.follow_held, &positions(&follow_held)).await?;
        let moved = positions(&follow_held);
        write(&mut tx, &sql.forget_held, &moved).await?;
        write(&mut tx, &sql.forget_held, &positions(&done_held)).await?;
        let mut gone = positions(&done_log);
        gone.extend(stop_log.iter().map(|stop| position(stop.place)));
        gone.extend(positions(&follow_log));
        write(&mut tx, &sql.forget_log, &runs(gone)).await?;
        Ok(self.database.commit(tx).await?)
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

/// A row as the fetch statement lays it out, and its size in bytes.
fn read(row: &SqliteRow) -> Result<(Row, usize), sqlx::Error> {
    let (place, stopped) = place(row.try_get(0)?, row.try_get(1)?);
    // As bytes: SQLite keeps any as TEXT, and one damaged row must not be an error of the whole round.
    let (topic, key): (&[u8], Option<&[u8]>) = (row.try_get(3)?, row.try_get(4)?);
    let (text, payload): (&[u8], Option<&[u8]>) = (row.try_get(5)?, row.try_get(6)?);
    let size = [Some(topic), key, Some(text), payload]
        .iter()
        .flatten()
        .map(|part| part.len())
        .sum();
    let (lane, content) = content(topic, key, text, payload);
    let row = Row {
        place,
        lane,
        stopped,
        attempts: row.try_get(2)?,
        content,
    };
    Ok((row, size))
}

/// The kinds of the fetch statement: log, delayed, stopped; odd = behind a stopped row.
const fn place(kind: i64, position: i64) -> (RowRef, bool) {
    match kind {
        0 | 1 => (RowRef::Log(position), kind == 1),
        2 | 3 => (RowRef::Delayed(position), kind == 3),
        _ => (RowRef::Stopped(position), false),
    }
}

fn positions(places: &[RowRef]) -> Vec<i64> {
    places.iter().copied().map(position).collect()
}

fn stops(now: SystemTime, stops: &[Stop]) -> Vec<(i64, i64, u32, &str)> {
    stops
        .iter()
        .map(|stop| {
            let due_at = envelope::micros_since_epoch(later(now, stop.retry_after));
            (position(stop.place), due_at, stop.attempts, &*stop.reason)
        })
        .collect()
}
