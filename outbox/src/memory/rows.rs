//! Reading rows, and writing down what became of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use mainstay_clock::planted;
use mainstay_database::{
    Transactions as _,
    memory::{Connection, Inserted, Strength, Wait},
};

use super::{
    Inner,
    records::{HeldRow, LogRow, ShardRow},
};
use crate::{Content, Error, Fetched, Hold, Limit, Outcome, Place, Row, Stop, due::later};

impl Inner {
    pub(super) async fn fetch(&self, holds: &[Hold], limit: Limit) -> Result<Fetched, Error> {
        let shards: BTreeSet<u16> = holds.iter().map(|hold| hold.shard).collect();
        let mut tx = self.database.begin().await?;
        // One statement, one snapshot: rows and stopped keys belong together.
        let statement = tx.statement().await?;
        let now = statement.now();
        let held = statement.select(.., usize::MAX, |row: &HeldRow| shards.contains(&row.shard));
        let mut heads = BTreeMap::new();
        for row in held.iter().filter(|row| row.stopped) {
            heads
                .entry(row.lane.clone().ok_or(row.position))
                .or_insert(row.due_at);
        }
        let count = usize::try_from(limit.messages).unwrap_or(usize::MAX);
        let has_stopped = |lane: &Option<_>| {
            lane.as_ref()
                .and_then(|lane| heads.get(&Ok(Clone::clone(lane))))
                .is_some_and(|due_at| !planted!(StoppedOnlyWhileDue) || *due_at <= now)
        };
        let served = held.iter().filter_map(|row| {
            // A stopped key is served when its head is due, whatever its other rows say.
            let head_due = heads.get(&row.lane.clone().ok_or(row.position));
            let due_at = head_due.filter(|_| row.stopped).unwrap_or(&row.due_at);
            (*due_at <= now).then(|| Row {
                place: if row.stopped {
                    Place::Stopped(row.position)
                } else {
                    Place::Delayed(row.position)
                },
                stopped: !row.stopped && has_stopped(&row.lane),
                lane: row.lane.clone(),
                attempts: row.attempts,
                content: row.content.clone(),
            })
        });
        let log = statement.select(.., count, |row: &LogRow| {
            let from: Option<i64> =
                planted!(IdCursorSkipsSlow: planted::kept(row.shard), else None);
            let others_wait = planted!(StoppedKeyStopsShards) && !heads.is_empty();
            shards.contains(&row.shard)
                && !others_wait
                && from.is_none_or(|from| row.position > from)
        });
        let log = log.into_iter().map(|row| Row {
            place: Place::Log(row.position),
            stopped: has_stopped(&row.lane),
            lane: row.lane,
            attempts: 0,
            content: row.content,
        });
        let mut bytes = 0;
        let mut rows: Vec<Row> = Vec::new();
        for row in served.take(count).chain(log) {
            let size = match &row.content {
                Content::Message(message) => message.size(),
                Content::Unreadable(_) => 0,
            };
            bytes += size;
            if bytes > limit.bytes && !rows.is_empty() {
                if planted!(LimitSkipsLargeRow) {
                    bytes -= size;
                    continue;
                }
                break;
            }
            rows.push(row);
        }
        let delayed = held.iter().filter(|row| !row.stopped);
        let next_due = delayed
            .map(|row| &row.due_at)
            .chain(heads.values())
            .filter_map(|due_at| due_at.duration_since(now).ok())
            .filter(|wait| !wait.is_zero())
            .min();
        Ok(Fetched {
            rows,
            next_due,
            stopped_keys: u64::try_from(heads.len()).unwrap_or(u64::MAX),
        })
    }

    pub(super) async fn record(&self, holds: &[Hold], outcome: &Outcome) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        check_fences(&mut tx, holds).await?;
        if !planted!(FollowersBeforeRefused) {
            stop_rows(&mut tx, &outcome.stopped).await?;
        }
        let mut following = outcome.following.clone();
        // Followers of one key come from the log or from the delayed ones; each in their order.
        following.sort_by_key(|place| (matches!(place, Place::Delayed(_)), position(*place)));
        for place in following {
            if let Some(row) = take(&mut tx, place).await? {
                hold(&mut tx, row, SystemTime::UNIX_EPOCH, 0, None).await?;
            }
        }
        if planted!(FollowersBeforeRefused) {
            stop_rows(&mut tx, &outcome.stopped).await?;
        }
        let mut statement = tx.statement().await?;
        for place in &outcome.acknowledged {
            planted!(IdCursorSkipsSlow: if let Place::Log(at) = place
                && let Some(row) = statement.get::<LogRow>(at) { planted::keep(row.shard, *at) });
            match place {
                Place::Log(position) => statement.delete(position, |_: &LogRow| true).await?,
                Place::Delayed(position) | Place::Stopped(position) => {
                    statement.delete(position, |_: &HeldRow| true).await?
                }
            };
        }
        drop(statement);
        Ok(self.database.commit(tx).await?)
    }
}

/// The shard rows stay locked until the commit: a check alone would read a snapshot that a takeover has left behind.
async fn check_fences(tx: &mut Connection, holds: &[Hold]) -> Result<(), Error> {
    let mut statement = tx.statement().await?;
    for hold in holds {
        let shard = if planted!(FenceReadWithoutLock) {
            statement.get::<ShardRow>(&hold.shard)
        } else {
            let locking = statement.lock::<ShardRow>(&hold.shard, Strength::Share, Wait::Block);
            locking.await?.row()
        };
        let is_mine = |row: &ShardRow| row.fence == hold.fence && row.owner.is_some();
        if !shard.as_ref().is_some_and(is_mine) && !planted!(MissingFence) {
            return Err(Error::Fenced);
        }
    }
    Ok(())
}

async fn stop_rows(tx: &mut Connection, stops: &[Stop]) -> Result<(), Error> {
    for stop in stops {
        stop_row(tx, stop).await?;
    }
    Ok(())
}

async fn stop_row(tx: &mut Connection, stop: &Stop) -> Result<(), Error> {
    if let Place::Log(_) = stop.place {
        if let Some(row) = take(tx, stop.place).await? {
            let reason = Some(stop.reason.clone());
            let due_at = later(tx.statement().await?.now(), stop.retry_after);
            hold(tx, row, due_at, stop.attempts, reason).await?;
        }
        return Ok(());
    }
    let mut statement = tx.statement().await?;
    let due_at = later(statement.now(), stop.retry_after);
    let stop_it = |row: &mut HeldRow| {
        row.stopped = true;
        row.due_at = due_at;
        row.attempts = stop.attempts;
        row.reason = Some(stop.reason.clone());
        true
    };
    statement.update(&position(stop.place), stop_it).await?;
    Ok(())
}

/// Takes a row out of where it lies; none if somebody else took it, who may have committed while this one waited.
async fn take(tx: &mut Connection, place: Place) -> Result<Option<LogRow>, Error> {
    let mut statement = tx.statement().await?;
    Ok(match place {
        Place::Log(position) => {
            let row = statement.get::<LogRow>(&position);
            let taken = statement.delete(&position, |_: &LogRow| true).await?;
            row.filter(|_| taken || planted!(MovedAsideTwice))
        }
        Place::Delayed(position) | Place::Stopped(position) => {
            let row = statement.get::<HeldRow>(&position);
            let taken = statement.delete(&position, |_: &HeldRow| true).await?;
            row.filter(|_| taken || planted!(MovedAsideTwice))
                .map(|row| LogRow {
                    position,
                    shard: row.shard,
                    lane: row.lane,
                    content: row.content,
                })
        }
    })
}

/// Puts a row behind the stopped ones of its key.
async fn hold(
    tx: &mut Connection,
    row: LogRow,
    due_at: SystemTime,
    attempts: u32,
    reason: Option<String>,
) -> Result<(), Error> {
    let mut statement = tx.statement().await?;
    let held = HeldRow {
        position: statement.next_value("outbox_held"),
        shard: row.shard,
        lane: row.lane,
        content: row.content,
        stopped: true,
        due_at,
        attempts,
        reason,
    };
    let _: Inserted = statement.insert(held).await?;
    Ok(())
}

const fn position(place: Place) -> i64 {
    match place {
        Place::Log(position) | Place::Delayed(position) | Place::Stopped(position) => position,
    }
}
