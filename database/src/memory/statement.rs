//! One SQL statement.

use std::{
    borrow::Cow,
    ops::{Bound, RangeBounds},
    sync::Arc,
    time::SystemTime,
};

use super::{
    cause::Cause,
    connection::Connection,
    locks::{RowId, Session, Strength},
    snapshot::Snapshot,
    state::State,
    table::{Record, Stamp, Version, View, owned},
};
use crate::Error;

/// One SQL statement in progress; see [the module](super) for what it sees.
#[derive(Debug)]
pub struct Statement<'c> {
    pub(super) connection: &'c mut Connection,
    pub(super) id: u64,
    pub(super) command: u32,
    pub(super) snapshot: Snapshot,
    pub(super) now: SystemTime,
}

/// What an insert found.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle both")]
pub enum Inserted {
    /// No row had the key; now one has.
    New,
    /// A row has the key, though the statement's snapshot may not show it.
    Exists,
}

/// What to do about a row that another transaction has locked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "SQL has these three")]
pub enum Wait {
    /// Wait for it.
    Block,
    /// `SKIP LOCKED`: leave it out.
    SkipLocked,
    /// `NOWAIT`: fail.
    NoWait,
}

/// What a locking read found.
#[must_use]
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle all three")]
pub enum Locked<R> {
    /// The row is locked; this is its newest version, which the snapshot may not have.
    Row(R),
    /// The snapshot has no such row, or it was deleted by the time the lock could be had.
    Missing,
    /// Another transaction holds it, and the statement said [`Wait::SkipLocked`].
    Skipped,
}

impl<R> Locked<R> {
    /// The row, if it is locked.
    #[must_use]
    pub fn row(self) -> Option<R> {
        match self {
            Self::Row(row) => Some(row),
            Self::Missing | Self::Skipped => None,
        }
    }
}

/// What stands under a key that is to be inserted.
enum Occupant {
    Nothing,
    Row(RowId),
    /// Another transaction in progress is writing it.
    Undecided(Session),
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

    /// The first `limit` rows of a range, in key order, that satisfy `predicate`: `WHERE … ORDER BY key LIMIT …`.
    #[must_use]
    pub fn select<R: Record>(
        &self,
        range: impl RangeBounds<R::Key>,
        limit: usize,
        mut predicate: impl FnMut(&R) -> bool,
    ) -> Vec<R> {
        // The predicate is the caller's code, so it runs outside the mutex; the snapshot holds the pieces together.
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

    /// `INSERT … ON CONFLICT DO NOTHING`.
    ///
    /// Waits for a transaction in progress that inserts, updates or deletes the same key, and then decides by
    /// what that transaction came to. A lock alone on the row that has the key is not waited for.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a deadlock or lock timeout, [`Error::Aborted`] after an earlier error,
    /// [`Error::Failed`] if the table holds another type.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it leaves a transaction that can only be rolled back.
    pub async fn insert<R: Record>(&mut self, record: R) -> Result<Inserted, Error> {
        let key = record.key();
        self.claim::<R>(&key).await?.map_or_else(
            || {
                self.write(key.clone(), None, Some(record))
                    .map(|()| Inserted::New)
            },
            |_| Ok(Inserted::Exists),
        )
    }

    /// `INSERT … ON CONFLICT (key) DO UPDATE`: changes the newest version if the key exists, whether or not the
    /// snapshot has it, and waits for the row's lock as an update does.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    ///
    /// # Cancel safety
    /// As [`insert`](Self::insert).
    pub async fn upsert<R: Record>(
        &mut self,
        record: R,
        change: impl FnOnce(&mut R) + Send,
    ) -> Result<Inserted, Error> {
        let key = record.key();
        while let Some(row) = self.claim::<R>(&key).await? {
            let strength = Strength::NoKeyUpdate;
            self.connection.lock_row(row, strength, Wait::Block).await?;
            if let Some(newest) = self.newest::<R>(&key, row) {
                let mut changed = Arc::unwrap_or_clone(newest);
                change(&mut changed);
                self.write(key, Some(row), Some(changed))?;
                return Ok(Inserted::Exists);
            }
            // Deleted while we waited: the key is free, or somebody else's.
        }
        self.write(key, None, Some(record))?;
        Ok(Inserted::New)
    }

    /// `SELECT … FOR …`: locks a row until the transaction ends, and reads its newest version.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a deadlock, a lock timeout, or a row that is locked while `wait` is
    /// [`Wait::NoWait`]; [`Error::Aborted`] after an earlier error.
    ///
    /// # Cancel safety
    /// As [`insert`](Self::insert).
    pub async fn lock<R: Record>(
        &mut self,
        key: &R::Key,
        strength: Strength,
        wait: Wait,
    ) -> Result<Locked<R>, Error> {
        self.connection.check_open()?;
        let Some(found) = self.visible::<R>(key).filter(|found| !found.changed_here) else {
            return Ok(Locked::Missing);
        };
        if !self.connection.lock_row(found.row, strength, wait).await? {
            return Ok(Locked::Skipped);
        }
        self.connection.transaction_id();
        Ok(self
            .newest::<R>(key, found.row)
            .map_or(Locked::Missing, |newest| {
                Locked::Row(Arc::unwrap_or_clone(newest))
            }))
    }

    /// `UPDATE … SET … WHERE key = … AND …`: `change` is WHERE and SET at once, and says whether the row matched.
    ///
    /// `change` runs on a copy of the version in the snapshot. If that matches, the row is locked; if it has
    /// a newer version by then, `change` runs again, on a copy of that one, and its answer counts. So a row whose
    /// version in the snapshot does not match is left alone, although its newest version might match.
    ///
    /// `Ok(false)`: no such row, or it did not match.
    ///
    /// # Errors
    /// As [`insert`](Self::insert), and [`Error::Failed`] if `change` touched the key.
    ///
    /// # Cancel safety
    /// As [`insert`](Self::insert).
    pub async fn update<R: Record>(
        &mut self,
        key: &R::Key,
        mut change: impl FnMut(&mut R) -> bool + Send,
    ) -> Result<bool, Error> {
        self.connection.check_open()?;
        let Some(found) = self.visible::<R>(key).filter(|found| !found.changed_here) else {
            return Ok(false);
        };
        let mut changed = R::clone(&found.record);
        if !change(&mut changed) {
            return Ok(false);
        }
        let Some(newest) = self
            .hold::<R>(key, found.row, Strength::NoKeyUpdate)
            .await?
        else {
            return Ok(false);
        };
        if !Arc::ptr_eq(&newest, &found.record) {
            changed = R::clone(&newest);
            if !change(&mut changed) {
                return Ok(false);
            }
        }
        self.write(key.clone(), Some(found.row), Some(changed))?;
        Ok(true)
    }

    /// `DELETE … WHERE key = … AND …`; finds, waits and reads again as [`update`](Self::update) does.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    ///
    /// # Cancel safety
    /// As [`insert`](Self::insert).
    pub async fn delete<R: Record>(
        &mut self,
        key: &R::Key,
        mut predicate: impl FnMut(&R) -> bool + Send,
    ) -> Result<bool, Error> {
        self.connection.check_open()?;
        let Some(found) = self.visible::<R>(key).filter(|found| !found.changed_here) else {
            return Ok(false);
        };
        if !predicate(&found.record) {
            return Ok(false);
        }
        let Some(newest) = self.hold::<R>(key, found.row, Strength::Update).await? else {
            return Ok(false);
        };
        if !Arc::ptr_eq(&newest, &found.record) && !predicate(&newest) {
            return Ok(false);
        }
        self.write::<R>(key.clone(), Some(found.row), None)?;
        Ok(true)
    }

    /// `nextval`: drawn outside the transaction, starting at 1. A rollback leaves a gap, and values become visible
    /// in the order of commits, not of draws.
    pub fn next_value(&mut self, sequence: impl Into<Cow<'static, str>>) -> i64 {
        self.connection.state().next_value(sequence.into())
    }

    /// What this statement sees.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// When this statement began, by the database's own clock; `statement_timestamp()`. It stands still while the
    /// statement waits.
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

    /// Locks a row for writing; its newest version, unless it was deleted meanwhile.
    async fn hold<R: Record>(
        &mut self,
        key: &R::Key,
        row: RowId,
        strength: Strength,
    ) -> Result<Option<Arc<R>>, Error> {
        self.connection.transaction_id();
        self.connection.lock_row(row, strength, Wait::Block).await?;
        Ok(self.newest::<R>(key, row))
    }

    /// Waits until nobody else is writing the key: the row that has it, or none.
    async fn claim<R: Record>(&mut self, key: &R::Key) -> Result<Option<RowId>, Error> {
        loop {
            self.connection.check_open()?;
            match self.occupant::<R>(key) {
                Occupant::Nothing => return Ok(None),
                Occupant::Row(row) => return Ok(Some(row)),
                Occupant::Undecided(other) => self.connection.wait_for_end_of(other).await?,
            }
        }
    }

    fn occupant<R: Record>(&self, key: &R::Key) -> Occupant {
        let (state, session) = (self.connection.state(), self.connection.session);
        let Some(table) = state.table::<R>() else {
            return Occupant::Nothing;
        };
        for version in table.versions(key).iter().rev() {
            if let Some(other) = state.in_progress(version.created.by, session) {
                return Occupant::Undecided(other);
            }
            let Some(ended) = version.ended else {
                return Occupant::Row(version.row);
            };
            if let Some(other) = state.in_progress(ended.by, session) {
                return Occupant::Undecided(other);
            }
        }
        Occupant::Nothing
    }

    /// Writes the next version of a row, or a row's first.
    fn write<R: Record>(
        &mut self,
        key: R::Key,
        row: Option<RowId>,
        next: Option<R>,
    ) -> Result<(), Error> {
        if next.as_ref().is_some_and(|next| next.key() != key) {
            return Err(self.connection.fail(Cause::KeyChanged(R::TABLE)));
        }
        let session = self.connection.session;
        let mut state = self.connection.state();
        let stamp = Stamp {
            by: state.draw_id(session),
            command: self.command,
        };
        let row = row.unwrap_or_else(|| state.new_row());
        let written = state
            .table_mut::<R>(session)
            .map(|table| table.write(key, row, stamp, next));
        drop(state);
        written.map_err(|cause| self.connection.fail(cause))
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
