//! Inserting statements, and what they wait for.

use std::sync::Arc;

use super::{Statement, Wait};
use crate::{
    Error,
    memory::{
        locks::{RowId, Session, Strength},
        table::Record,
    },
};

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

/// What stands under a key that is to be inserted.
enum Occupant {
    Nothing,
    Row(RowId),
    /// Another transaction in progress is writing it.
    Undecided(Session),
}

impl Statement<'_> {
    /// `INSERT … ON CONFLICT DO NOTHING`.
    ///
    /// Waits for a transaction in progress that inserts, updates or deletes the same key, and then
    /// decides by the outcome of that transaction. It does not wait for a mere lock on the row.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a deadlock or lock timeout, [`Error::Aborted`] after an earlier
    /// error, [`Error::Failed`] if the table holds another type.
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

    /// `INSERT … ON CONFLICT (key) DO UPDATE`: changes the newest version if the key exists,
    /// whether or not the snapshot has it, and waits for the row's lock as an update does.
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
            // Deleted during the wait: the key is free, or another transaction's.
        }
        self.write(key, None, Some(record))?;
        Ok(Inserted::New)
    }

    /// Waits until no other transaction writes the key. Returns the row that has it, if there is
    /// one.
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
}
