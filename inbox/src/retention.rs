//! How long marks are kept.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_messaging::{Group, Position};

use crate::Error;

/// Forgets marks of messages that cannot come again.
///
/// A mark is kept for a window counted from the moment its message's offset was committed; the mark of a message that
/// was not committed is never forgotten. To know when an offset was committed, checkpoints of the committed
/// offsets are recorded now and then: a mark that a checkpoint older than the window covers may go.
#[async_trait]
pub trait Retention: Send + Sync + 'static {
    /// What time it is, by a clock that all workers on this store share: a node's own may be an hour off, and would
    /// forget marks an hour early.
    ///
    /// # Cancel safety
    /// Cancel safe: it only looks.
    async fn now(&self) -> Result<SystemTime, Error>;

    /// Records that `consumer` had committed everything below `positions` at `at`.
    ///
    /// # Behaviour
    /// - A partition whose newest checkpoint is younger than `spacing` keeps that one.
    /// - Covers only marks that exist now: a log that is created anew and starts again at offset 0 loses no marks by it.
    ///
    /// # Cancel safety
    /// Cancel safe: a checkpoint is recorded or not.
    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error>;

    /// Looks at up to `limit` marks of any consumer behind `cursor` and forgets those of `consumer` which the newest
    /// checkpoint at or before `horizon` covers. Start with cursor 0.
    ///
    /// # Behaviour
    /// - A short transaction of its own: it never holds up an admission for longer than that.
    /// - Looks no further than the marks that such a checkpoint covers.
    /// - A mark at or above its partition's offset in that checkpoint stays.
    /// - A mark whose message was read at several places stays until such a checkpoint covers each of them: the highest
    ///   in its partition, and each one in another partition.
    /// - A mark whose message came again after it was committed counts as uncommitted from then on.
    ///
    /// # Cancel safety
    /// Cancel safe: the step happened or not; beginning again at any cursor is right.
    async fn sweep(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error>;
}

/// What one step of a sweep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct Pruned {
    /// How many marks are gone.
    pub forgotten: u64,
    /// Where the next step starts; none = the end was reached.
    pub next: Option<i64>,
}
