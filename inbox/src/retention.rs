//! How long processed records are kept.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_messaging::{Group, Position};

use crate::Error;

/// Prunes the processed records of messages that cannot come again.
///
/// A processed record is kept for a window that starts when its message's offset is committed. The
/// record of an uncommitted message is never pruned. To know when offsets were committed, the
/// worker records a checkpoint of them at intervals; a record that is covered by a checkpoint older
/// than the window is pruned.
#[async_trait]
pub trait Retention: Send + Sync + 'static {
    /// The time, by a clock that all workers on this store share. A node's own clock may be an hour
    /// fast, and would prune records an hour early.
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn now(&self) -> Result<SystemTime, Error>;

    /// Records that `consumer` had committed everything below `positions` at `at`.
    ///
    /// # Behaviour
    /// - A partition whose newest checkpoint is younger than `spacing` keeps that one.
    /// - Covers only processed records that exist now, so a log that is created anew and starts at
    ///   offset 0 loses no records to an old checkpoint.
    ///
    /// # Cancel safety
    /// Cancel safe: the checkpoint is recorded or not.
    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error>;

    /// Looks at up to `limit` processed records of any consumer behind `cursor`, and deletes those
    /// of `consumer` that the newest checkpoint at or before `horizon` covers. Start with cursor 0.
    ///
    /// # Behaviour
    /// - Runs in a short transaction of its own, and delays an admission by no more than that.
    /// - Looks no further than the records that such a checkpoint covers.
    /// - Keeps a record at or above its partition's offset in that checkpoint.
    /// - Keeps a record whose message was read at several positions until such a checkpoint covers
    ///   all of them: the highest in the record's partition, and each one in another partition.
    /// - A message that comes again after its offset was committed counts as uncommitted from then
    ///   on.
    ///
    /// # Cancel safety
    /// Cancel safe: the step happened or not; starting again at any cursor is right.
    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error>;
}

#[async_trait]
impl<R: Retention + ?Sized> Retention for Arc<R> {
    async fn now(&self) -> Result<SystemTime, Error> {
        (**self).now().await
    }

    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error> {
        (**self).checkpoint(consumer, positions, at, spacing).await
    }

    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error> {
        (**self).prune(consumer, horizon, cursor, limit).await
    }
}

/// What one step of pruning did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct Pruned {
    /// How many processed records were deleted.
    pub deleted: u64,
    /// Where the next step starts; `None`: the end was reached.
    pub next: Option<i64>,
}
