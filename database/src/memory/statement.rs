//! One SQL statement.

mod change;
mod insert;
mod lock;

use std::{
    borrow::Cow,
    ops::{Bound, RangeBounds},
    sync::Arc,
    time::SystemTime,
};

use super::{
    connection::Connection,
    locks::RowId,
    snapshot::Snapshot,
    state::State,
    table::{Record, Stamp, Version, View, owned},
};

pub use insert::Inserted;
pub use lock::{Locked, Wait};

/// One SQL statement in progress; see [the module](super) for what it sees.
#[derive(Debug)]
pub struct Statement<'c> {
    pub(super) connection: &'c mut Connection,
    pub(super) id: u64,
    pub(super) command: u32,
    pub(super) snapshot: Snapshot,
    pub(super) now: SystemTime,
}

impl Statement<'_> {
    /// The row as the snapshot has it.
    #[must_use]
    pub fn get<R: Record>(&self, key: &R::Key) -> Option<R> {
        let record = self.visible::<R>(key)?.record;
        Some(Arc::unwrap_or_clone(record))
    }

    /// The rows of a range of keys as the snapshot has them, in key order.
    #[must_use]
    pub fn scan<R: Record>(&self, range: impl RangeBounds<R::Key>) -> Vec<R> {
        self.select(range, usize::MAX, |_| true)
    }

    /// The first `limit` rows of a range, in key order, that satisfy `predicate`: `WHERE … ORDER BY
    /// key LIMIT …`.
    #[must_use]
    pub fn select<R: Record>(
        &self,
        range: impl RangeBounds<R::Key>,
        limit: usize,
        mut predicate: impl FnMut(&R) -> bool,
    ) -> Vec<R> {
        // The predicate is the caller's code, so it runs outside the mutex; the snapshot holds the
        // pieces together.
        const PIECE: usize = 256;
        let (mut start, end) = owned(&range);
        let mut selected = Vec::new();
        while selected.len() < limit {
            let state = self.connection.state();
            let table = state.table::<R>();
            let rows = table.map_or_else(Vec::new, |table| {
                table.scan((start, end.clone()), self.view(&state), PIECE)
            });
            drop(state);
            let is_last = rows.len() < PIECE;
            start = match rows.last() {
                Some((key, _)) => Bound::Excluded(key.clone()),
                None => break,
            };
            let matching = rows
                .into_iter()
                .map(|(_, record)| record)
                .filter(|record| predicate(record));
            selected.extend(
                matching
                    .take(limit - selected.len())
                    .map(Arc::unwrap_or_clone),
            );
            if is_last {
                break;
            }
        }
        selected
    }

    /// `nextval`: drawn outside the transaction, starting at 1. A rollback leaves a gap, and values
    /// become visible in the order of commits, not of draws.
    pub fn next_value(&mut self, sequence: impl Into<Cow<'static, str>>) -> i64 {
        self.connection.state().next_value(sequence.into())
    }

    /// What this statement sees.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// When this statement began, by the database's own clock; `statement_timestamp()`. It stands
    /// still while the statement waits.
    #[must_use]
    pub const fn now(&self) -> SystemTime {
        self.now
    }

    /// The connection, for [`Connection::transaction_id`].
    pub fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    fn view(&self, state: &State) -> View<'_> {
        View {
            snapshot: &self.snapshot,
            own: state.id(self.connection.session),
            command: self.command,
        }
    }

    fn visible<R: Record>(&self, key: &R::Key) -> Option<Found<R>> {
        let state = self.connection.state();
        let version = state.table::<R>()?.visible(key, self.view(&state))?;
        let own = state.id(self.connection.session);
        Some(Found {
            row: version.row,
            record: Arc::clone(&version.record),
            changed_here: version
                .ended
                .is_some_and(|ended| Some(ended.by) == own && ended.command == self.command),
        })
    }

    /// The row's newest version that is committed or our own.
    fn newest<R: Record>(&self, key: &R::Key, row: RowId) -> Option<Arc<R>> {
        let state = self.connection.state();
        let others = |stamp: Stamp| {
            state
                .in_progress(stamp.by, self.connection.session)
                .is_some()
        };
        let is_newest = |version: &&Version<R>| {
            version.row == row && !others(version.created) && version.ended.is_none_or(others)
        };
        let versions = state.table::<R>()?.versions(key).iter();
        versions
            .rev()
            .find(is_newest)
            .map(|version| Arc::clone(&version.record))
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        self.connection.state().end_statement(self.id);
    }
}

/// A row of the snapshot.
struct Found<R> {
    row: RowId,
    record: Arc<R>,
    /// By this very statement, so that it cannot be changed by it again.
    changed_here: bool,
}
