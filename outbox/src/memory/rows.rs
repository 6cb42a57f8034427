//! Reading rows, and writing down what became of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

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
                .is_some_and(|lane| heads.contains_key(&Ok(Clone::clone(lane))))
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
        let log = statement.select(.., count, |row: &LogRow| shards.contains(&row.shard));
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
            bytes += match &row.content {
                Content::Message(message) => message.size(),
                Content::Unreadable(_) => 0,
            };
            if bytes > limit.bytes && !rows.is_empty() {
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
        for stop in &outcome.stopped {
            stop_row(&mut tx, stop).await?;
        }
        let mut following = outcome.following.clone();
        // Followers of one key come from the log or from the delayed ones; each in their order.
        following.sort_by_key(|place| (matches!(place, Place::Delayed(_)), position(*place)));
        for place in following {
            if let Some(row) = take(&mut tx, place).await? {
                hold(&mut tx, row, SystemTime::UNIX_EPOCH, 0, None).await?;
            }
        }
        let mut statement = tx.statement().await?;
        for place in &outcome.acknowledged {
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
        let shard = statement
            .lock::<ShardRow>(&hold.shard, Strength::Share, Wait::Block)
            .await?
            .row();
        let is_mine = |row: &ShardRow| row.fence == hold.fence && row.owner.is_some();
        if !shard.as_ref().is_some_and(is_mine) {
            return Err(Error::Fenced);
        }
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
            row.filter(|_| taken)
        }
        Place::Delayed(position) | Place::Stopped(position) => {
            let row = statement.get::<HeldRow>(&position);
            let taken = statement.delete(&position, |_: &HeldRow| true).await?;
            row.filter(|_| taken).map(|row| LogRow {
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
