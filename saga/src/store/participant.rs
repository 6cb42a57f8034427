//! What the author of a participant's store implements.

use std::time::Duration;

use async_trait::async_trait;

use crate::Error;

/// What a participant knows of a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "a step that was undone must not be done"]
#[expect(clippy::exhaustive_enums, reason = "participants act on each of them")]
pub enum Begun {
    /// Nothing was known: it is begun now.
    First,
    /// It was begun before: an earlier attempt was refused, or its answer comes later.
    Again,
    /// It was undone: it must not be done any more.
    Undone,
}

/// What a participant knew of a step that it is to undo.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "a step that was begun may have to be undone"]
#[expect(clippy::exhaustive_enums, reason = "participants act on each of them")]
pub enum Unbegun {
    /// It was begun: undo what it has done.
    Begun,
    /// Nothing was known. It is recorded as undone (a tombstone), so that a do which comes later
    /// is refused.
    Never,
    /// It was undone before.
    Again,
}

/// The participant's side: which steps it has begun, and which it has undone.
#[async_trait]
pub trait ParticipantStore: Send + Sync + 'static {
    /// The connection that a transaction dereferences to.
    type Connection: Send + 'static;

    /// Records that the step is begun, unless it was undone.
    ///
    /// # Behaviour
    /// - Holds the step until the transaction ends: another transaction that begins or undoes the
    ///   same step waits.
    async fn begin(&self, connection: &mut Self::Connection, step: &str) -> Result<Begun, Error>;

    /// As [`begin`](Self::begin), for several different steps; default: one by one. Answers in the
    /// order of `steps`.
    async fn begin_batch(
        &self,
        connection: &mut Self::Connection,
        steps: &[&str],
    ) -> Result<Vec<Begun>, Error> {
        let mut begun = Vec::with_capacity(steps.len());
        for step in steps {
            begun.push(self.begin(connection, step).await?);
        }
        Ok(begun)
    }

    /// Records that the step is undone, whether it was begun or not.
    ///
    /// # Behaviour
    /// - As [`begin`](Self::begin).
    async fn undo(&self, connection: &mut Self::Connection, step: &str) -> Result<Unbegun, Error>;

    /// Deletes up to `limit` records that have not changed for `retention`. Answers how many.
    async fn prune_steps(
        &self,
        connection: &mut Self::Connection,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error>;
}
