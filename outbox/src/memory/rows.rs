//! Reading rows and recording their outcome.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use mainstay_database::memory::{Connection, Inserted, Strength, Wait};

use super::{
    Inner,
    records::{DeferredRow, LogRow, ShardRow},
};
use crate::{
    Error,
    delay::later,
    store::{Content, Fetched, Limit, Outcome, Refusal, Row, RowRef, ShardLease},
};

impl Inner {
    pub(super) async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        let shards: BTreeSet<u16> = leases.iter().map(|lease| lease.shard).collect();
        let mut tx = self.database.begin().await?;
        // One statement, so that rows and blocked keys are of one snapshot.
        let statement = tx.statement().await?;
        let now = statement.now();
        let deferred = statement.select(.., usize::MAX, |row: &DeferredRow| {
            shards.contains(&row.shard)
        });
        let mut heads = BTreeMap::new();
        for row in deferred.iter().filter(|row| row.blocked) {
            heads
                .entry(row.ordering_key.clone().ok_or(row.position))
                .or_insert(row.due_at);
        }
        let count = usize::try_from(limit.messages).unwrap_or(usize::MAX);
        let is_blocked = |ordering_key: &Option<_>| {
            ordering_key
                .as_ref()
                .is_some_and(|key| heads.contains_key(&Ok(Clone::clone(key))))
        };
        // Keys that are due share the limit.
        let due_keys = heads.values().filter(|due_at| **due_at <= now).count();
        let share = (count / due_keys.max(1)).max(1);
        let mut taken: BTreeMap<_, usize> = BTreeMap::new();
        let due = deferred.iter().filter_map(|row| {
            // All rows of a blocked key are due when its head is.
            let key = row.ordering_key.clone().ok_or(row.position);
            let head_due = heads.get(&key).filter(|_| row.blocked);
            if *head_due.unwrap_or(&row.due_at) > now {
                return None;
            }
            let of_its_key = taken.entry(key).or_default();
            *of_its_key += usize::from(row.blocked);
            (*of_its_key <= share).then(|| Row {
                row_ref: if row.blocked {
                    RowRef::Blocked(row.position)
                } else {
                    RowRef::Delayed(row.position)
                },
                blocked: !row.blocked && is_blocked(&row.ordering_key),
                ordering_key: row.ordering_key.clone(),
                attempts: row.attempts,
                content: row.content.clone(),
            })
        });
        let in_flight: BTreeSet<i64> = in_flight.iter().filter_map(|at| at.in_log()).collect();
        let log = statement.select(.., count, |row: &LogRow| {
            shards.contains(&row.shard) && !in_flight.contains(&row.position)
        });
        let log = log.into_iter().map(|row| Row {
            row_ref: RowRef::Log(row.position),
            blocked: is_blocked(&row.ordering_key),
            ordering_key: row.ordering_key,
            attempts: 0,
            content: row.content,
        });
        let mut bytes = 0;
        let (mut rows, mut more): (Vec<Row>, bool) = (Vec::new(), false);
        for row in due.take(count).chain(log) {
            bytes += match &row.content {
                Content::Message(message) => message.size(),
                Content::Unreadable(_) => 0,
            };
            if bytes > limit.bytes && !rows.is_empty() {
                more = true;
                break;
            }
            rows.push(row);
        }
        let delayed = deferred.iter().filter(|row| !row.blocked);
        let next_due = delayed
            .map(|row| &row.due_at)
            .chain(heads.values())
            .filter_map(|due_at| due_at.duration_since(now).ok())
            .filter(|wait| !wait.is_zero())
            .min();
        Ok(Fetched {
            more: more || rows.len() >= count,
            rows,
            next_due,
            blocked_keys: u64::try_from(heads.len()).unwrap_or(u64::MAX),
        })
    }

    pub(super) async fn record(
        &self,
        leases: &[ShardLease],
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        check_fences(&mut tx, leases).await?;
        for refusal in &outcome.refused {
            refuse(&mut tx, refusal).await?;
        }
        let mut held = outcome.held.clone();
        // Held rows of one key come from the log, then from the delayed ones, each in their order.
        held.sort_by_key(|at| (matches!(at, RowRef::Delayed(_)), position(*at)));
        for row_ref in held {
            if let Some(row) = take(&mut tx, row_ref).await? {
                block(&mut tx, row, SystemTime::UNIX_EPOCH, 0, None).await?;
            }
        }
        let mut statement = tx.statement().await?;
        for row_ref in &outcome.acknowledged {
            match row_ref {
                RowRef::Log(position) => statement.delete(position, |_: &LogRow| true).await?,
                RowRef::Delayed(position) | RowRef::Blocked(position) => {
                    statement.delete(position, |_: &DeferredRow| true).await?
                }
            };
        }
        drop(statement);
        Ok(self.database.commit(tx).await?)
    }
}

/// Locks the shard rows until the commit. A check without the lock would read a snapshot from before
/// a takeover.
async fn check_fences(tx: &mut Connection, leases: &[ShardLease]) -> Result<(), Error> {
    let mut statement = tx.statement().await?;
    for lease in leases {
        let shard = statement
            .lock::<ShardRow>(&lease.shard, Strength::Share, Wait::Block)
            .await?
            .row();
        let is_mine = |row: &ShardRow| row.fence == lease.fence && row.owner.is_some();
        if !shard.as_ref().is_some_and(is_mine) {
            return Err(Error::Fenced);
        }
    }
    Ok(())
}

async fn refuse(tx: &mut Connection, refusal: &Refusal) -> Result<(), Error> {
    if let RowRef::Log(_) = refusal.row_ref {
        if let Some(row) = take(tx, refusal.row_ref).await? {
            let reason = Some(refusal.reason.clone());
            let due_at = later(tx.statement().await?.now(), refusal.retry_after);
            block(tx, row, due_at, refusal.attempts, reason).await?;
        }
        return Ok(());
    }
    let mut statement = tx.statement().await?;
    let due_at = later(statement.now(), refusal.retry_after);
    let block = |row: &mut DeferredRow| {
        row.blocked = true;
        row.due_at = due_at;
        row.attempts = refusal.attempts;
        row.reason = Some(refusal.reason.clone());
        true
    };
    statement.update(&position(refusal.row_ref), block).await?;
    Ok(())
}

/// Removes a row from its table. None if it is gone: an earlier attempt to record the same outcome may
/// have been committed meanwhile.
async fn take(tx: &mut Connection, row_ref: RowRef) -> Result<Option<LogRow>, Error> {
    let mut statement = tx.statement().await?;
    Ok(match row_ref {
        RowRef::Log(position) => {
            let row = statement.get::<LogRow>(&position);
            let taken = statement.delete(&position, |_: &LogRow| true).await?;
            row.filter(|_| taken)
        }
        RowRef::Delayed(position) | RowRef::Blocked(position) => {
            let row = statement.get::<DeferredRow>(&position);
            let taken = statement.delete(&position, |_: &DeferredRow| true).await?;
            row.filter(|_| taken).map(|row| LogRow {
                position,
                shard: row.shard,
                ordering_key: row.ordering_key,
                content: row.content,
            })
        }
    })
}

/// Appends a row to the blocked ones of its key.
async fn block(
    tx: &mut Connection,
    row: LogRow,
    due_at: SystemTime,
    attempts: u32,
    reason: Option<String>,
) -> Result<(), Error> {
    let mut statement = tx.statement().await?;
    let deferred = DeferredRow {
        position: statement.next_value("outbox_deferred"),
        shard: row.shard,
        ordering_key: row.ordering_key,
        content: row.content,
        blocked: true,
        due_at,
        attempts,
        reason,
    };
    let _: Inserted = statement.insert(deferred).await?;
    Ok(())
}

const fn position(row_ref: RowRef) -> i64 {
    match row_ref {
        RowRef::Log(position) | RowRef::Delayed(position) | RowRef::Blocked(position) => position,
    }
}
