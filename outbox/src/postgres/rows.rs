//! Reading rows, and writing down what became of them.

use std::time::Duration;

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    Error, Fetched, Limit, Outcome, Row, RowRef, ShardLease,
    postgres::{
        Inner, commit, driver, micros,
        places::{columns, in_log, shard_and_position},
    },
    sql_rows::{content, position, runs, split},
};

impl Inner {
    /// Two round trips; the end of the transaction, which only read, is not waited for.
    pub(super) async fn fetch(&self, holds: &[ShardLease], limit: Limit) -> Result<Fetched, Error> {
        let shards: Vec<i32> = holds.iter().map(|hold| hold.shard.into()).collect();
        let mut tx = self.begin(&self.statements.begin_fetch).await?;
        let rows = sqlx::query(self.statements.fetch.clone())
            .persistent(self.database.keeps_statements())
            .bind(shards)
            .bind(i64::from(limit.messages))
            .bind(i64::try_from(limit.bytes).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        drop(tx);
        let mut fetched = Fetched::default();
        for row in rows {
            read(&row, &mut fetched).map_err(driver)?;
        }
        Ok(fetched)
    }

    /// Three round trips: begin, everything, commit.
    pub(super) async fn record(
        &self,
        holds: &[ShardLease],
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let sql = &self.statements;
        let (done_log, done_held) = split(&outcome.acknowledged, |place| *place);
        let moves = Moves::of(outcome);
        let only_acknowledged = done_held.is_empty() && moves.ranks.is_empty();
        let (begin, statement) = if only_acknowledged {
            // Losing this at a crash of the server only publishes again.
            (&sql.begin_acknowledge, &sql.acknowledge)
        } else {
            (&sql.begin_rows, &sql.record)
        };
        let (shards, fences): (Vec<i32>, Vec<i64>) = holds
            .iter()
            .map(|hold| (i32::from(hold.shard), hold.fence))
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
                .bind(positions(&done_held))
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

/// What goes into the deferred table, or changes there, column by column.
#[derive(Default)]
struct Moves<'a> {
    ranks: Vec<i32>,
    shards: Vec<i32>,
    positions: Vec<i64>,
    delays: Vec<i64>,
    attempts: Vec<i32>,
    reasons: Vec<Option<&'a str>>,
}

/// The ranks of the record statement. What is moved lies in the deferred table in this order: a stopped row before its
/// followers, a delayed one behind them.
const STOP_OF_LOG: i32 = 0;
const FOLLOWER_OF_LOG: i32 = 1;
const FOLLOWER_OF_HELD: i32 = 2;
const STOP_OF_HELD: i32 = 3;

impl<'a> Moves<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let mut moves = Self::default();
        for stop in &outcome.stopped {
            moves.put(stop.place, STOP_OF_LOG, STOP_OF_HELD);
            moves.delays.push(micros(stop.retry_after));
            moves
                .attempts
                .push(i32::try_from(stop.attempts).unwrap_or(i32::MAX));
            moves.reasons.push(Some(&stop.reason));
        }
        for place in &outcome.following {
            moves.put(*place, FOLLOWER_OF_LOG, FOLLOWER_OF_HELD);
            moves.delays.push(0);
            moves.attempts.push(0);
            moves.reasons.push(None);
        }
        moves
    }

    fn put(&mut self, place: RowRef, rank_of_log: i32, rank_of_held: i32) {
        let (rank, (shard, position)) = match place {
            RowRef::Log(place) => (rank_of_log, shard_and_position(place)),
            RowRef::Delayed(position) | RowRef::Stopped(position) => (rank_of_held, (0, position)),
        };
        self.ranks.push(rank);
        self.shards.push(shard);
        self.positions.push(position);
    }
}

/// Adds a row as the fetch statement lays it out.
fn read(row: &PgRow, fetched: &mut Fetched) -> Result<(), sqlx::Error> {
    let (kind, position): (i32, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let (shard, attempts): (i32, i32) = (row.try_get(2)?, row.try_get(3)?);
    if kind == SUMMARY {
        fetched.next_due = position.map(|micros| Duration::from_micros(micros.unsigned_abs()));
        fetched.blocked_keys = attempts.unsigned_abs().into();
        return Ok(());
    }
    let (place, stopped) = place(kind, shard, position.unwrap_or_default());
    let (topic, key): (&str, Option<&str>) = (row.try_get(4)?, row.try_get(5)?);
    let (text, payload): (&str, Option<&[u8]>) = (row.try_get(6)?, row.try_get(7)?);
    let key = key.map(str::as_bytes);
    let (lane, content) = content(topic.as_bytes(), key, text.as_bytes(), payload);
    fetched.rows.push(Row {
        place,
        lane,
        stopped,
        attempts: attempts.unsigned_abs(),
        content,
    });
    Ok(())
}

/// The row about the deferred table: how long until its next row falls due, and how many keys are stopped.
const SUMMARY: i32 = 9;

/// The kinds of the fetch statement: log, delayed, stopped; odd = behind a stopped row.
const fn place(kind: i32, shard: i32, position: i64) -> (RowRef, bool) {
    match kind {
        0 | 1 => (in_log(shard, position), kind == 1),
        2 | 3 => (RowRef::Delayed(position), kind == 3),
        _ => (RowRef::Stopped(position), false),
    }
}

fn positions(places: &[RowRef]) -> Vec<i64> {
    places.iter().copied().map(position).collect()
}
