//! Reading rows and recording their outcome.

use std::time::Duration;

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    Error,
    postgres::{
        Inner, commit, driver, micros,
        row_refs::{columns, in_log, log_positions, shard_and_position},
    },
    sql_rows::{content, position, runs, split},
    store::{Fetched, Limit, Outcome, Row, RowRef, ShardLease},
};

impl Inner {
    /// Two round trips, and a third one when the first row was deferred since the last round. It does not
    /// wait for the end of the transaction, which only reads.
    pub(super) async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        let shards: Vec<i32> = leases.iter().map(|lease| lease.shard.into()).collect();
        let mut tx = self.begin(&self.statements.begin_fetch).await?;
        if !self.deferring.is_likely_in(&shards)
            && let Some(fetched) = self.fetch_log(&mut tx, &shards, limit, in_flight).await?
        {
            return Ok(fetched);
        }
        let rows = sqlx::query(self.statements.fetch.clone())
            .persistent(self.database.keeps_statements())
            .bind(&shards)
            .bind(i64::from(limit.messages))
            .bind(i64::try_from(limit.bytes).unwrap_or(i64::MAX))
            .bind(log_positions(in_flight))
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        drop(tx);
        let mut fetched = Fetched::default();
        let found: i64 = match rows.first() {
            Some(row) => row.try_get(8).map_err(driver)?,
            None => 0,
        };
        let too_large = i64::try_from(rows.len()).is_ok_and(|returned| returned < found);
        for row in rows {
            read(&row, &mut fetched).map_err(driver)?;
        }
        fetched.more = too_large || fetched.rows.len() >= limit.messages as usize;
        let is_of_log = |row: &Row| matches!(row.row_ref, RowRef::Log(_));
        let is_any_deferred = fetched.next_due.is_some()
            || fetched.blocked_keys > 0
            || !fetched.rows.iter().all(is_of_log);
        self.deferring.note(&shards, is_any_deferred);
        Ok(fetched)
    }

    /// Three round trips: begin, everything, commit.
    pub(super) async fn record(
        &self,
        leases: &[ShardLease],
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let sql = &self.statements;
        let (done_log, done_deferred) = split(&outcome.acknowledged, |row_ref| *row_ref);
        let moves = Moves::of(outcome);
        let only_acknowledged = done_deferred.is_empty() && moves.ranks.is_empty();
        let (begin, statement) = if only_acknowledged {
            // If a crash of the server loses this, the messages are published again.
            (&sql.begin_acknowledge, &sql.acknowledge)
        } else {
            (&sql.begin_rows, &sql.record)
        };
        let (shards, fences): (Vec<i32>, Vec<i64>) = leases
            .iter()
            .map(|lease| (i32::from(lease.shard), lease.fence.as_i64()))
            .unzip();
        let (run_shards, firsts, lasts) = columns(&runs(positions(&done_log)));
        let mut tx = self.begin(begin).await?;
        let mut query = sqlx::query_scalar(statement.clone())
            .persistent(self.database.keeps_statements())
            .bind(shards)
            .bind(fences)
            .bind(run_shards)
            .bind(firsts)
            .bind(lasts);
        if !only_acknowledged {
            query = query
                .bind(positions(&done_deferred))
                .bind(moves.ranks)
                .bind(moves.shards)
                .bind(moves.positions)
                .bind(moves.delays)
                .bind(moves.attempts)
                .bind(moves.reasons);
        }
        let valid: bool = query.fetch_one(&mut *tx).await.map_err(driver)?;
        if !valid {
            return Err(Error::Fenced);
        }
        commit(tx).await
    }
}

/// Rows to put into the deferred table or to change there, column by column.
#[derive(Default)]
struct Moves<'a> {
    ranks: Vec<i32>,
    shards: Vec<i32>,
    positions: Vec<i64>,
    delays: Vec<i64>,
    attempts: Vec<i32>,
    reasons: Vec<Option<&'a str>>,
}

/// The ranks of the record statement. Rows are put into the deferred table in this order: a refused row
/// before those held behind it, delayed ones last.
const REFUSED_OF_LOG: i32 = 0;
const HELD_OF_LOG: i32 = 1;
const HELD_OF_DEFERRED: i32 = 2;
const REFUSED_OF_DEFERRED: i32 = 3;

impl<'a> Moves<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let mut moves = Self::default();
        for refusal in &outcome.refused {
            moves.put(refusal.row_ref, REFUSED_OF_LOG, REFUSED_OF_DEFERRED);
            moves.delays.push(micros(refusal.retry_after));
            moves
                .attempts
                .push(i32::try_from(refusal.attempts).unwrap_or(i32::MAX));
            moves.reasons.push(Some(&refusal.reason));
        }
        for row_ref in &outcome.held {
            moves.put(*row_ref, HELD_OF_LOG, HELD_OF_DEFERRED);
            moves.delays.push(0);
            moves.attempts.push(0);
            moves.reasons.push(None);
        }
        moves
    }

    fn put(&mut self, row_ref: RowRef, rank_of_log: i32, rank_of_deferred: i32) {
        let (rank, (shard, position)) = match row_ref {
            RowRef::Log(number) => (rank_of_log, shard_and_position(number)),
            RowRef::Delayed(position) | RowRef::Blocked(position) => {
                (rank_of_deferred, (0, position))
            }
        };
        self.ranks.push(rank);
        self.shards.push(shard);
        self.positions.push(position);
    }
}

/// Adds a row of the fetch statement.
pub(super) fn read(row: &PgRow, fetched: &mut Fetched) -> Result<(), sqlx::Error> {
    let (kind, position): (i32, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let (shard, attempts): (i32, i32) = (row.try_get(2)?, row.try_get(3)?);
    if kind == SUMMARY {
        fetched.next_due = position.map(|micros| Duration::from_micros(micros.unsigned_abs()));
        fetched.blocked_keys = attempts.unsigned_abs().into();
        return Ok(());
    }
    let (row_ref, blocked) = row_ref(kind, shard, position.unwrap_or_default());
    let (topic, key): (&str, Option<&str>) = (row.try_get(4)?, row.try_get(5)?);
    let (text, payload): (&str, Option<&[u8]>) = (row.try_get(6)?, row.try_get(7)?);
    let key = key.map(str::as_bytes);
    let (ordering_key, content) = content(topic.as_bytes(), key, text.as_bytes(), payload);
    fetched.rows.push(Row {
        row_ref,
        ordering_key,
        blocked,
        attempts: attempts.unsigned_abs(),
        content,
    });
    Ok(())
}

/// The row about the deferred table: time until its next row is due, and number of blocked keys.
pub(super) const SUMMARY: i32 = 9;

/// The kinds of the fetch statement: log, delayed, blocked. Odd kinds come after a blocked row.
const fn row_ref(kind: i32, shard: i32, position: i64) -> (RowRef, bool) {
    match kind {
        0 | 1 => (in_log(shard, position), kind == 1),
        2 | 3 => (RowRef::Delayed(position), kind == 3),
        _ => (RowRef::Blocked(position), false),
    }
}

fn positions(row_refs: &[RowRef]) -> Vec<i64> {
    row_refs.iter().copied().map(position).collect()
}
