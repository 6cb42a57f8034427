//! Updates and deletes.

use std::sync::Arc;

use super::{Statement, Wait};
use crate::{
    Error,
    memory::{
        cause::Cause,
        locks::{RowId, Strength},
        table::{Record, Stamp},
    },
};

impl Statement<'_> {
    /// `UPDATE … SET … WHERE key = … AND …`: `change` is WHERE and SET at once, and says whether
    /// the row matched.
    ///
    /// `change` runs on a copy of the version in the snapshot. If that matches, the row is locked;
    /// if it has a newer version by then, `change` runs again, on a copy of that one, and its
    /// answer counts. So a row whose version in the snapshot does not match is left alone, although
    /// its newest version might match.
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

    /// `DELETE … WHERE key = … AND …`; finds, waits and reads again as [`update`](Self::update)
    /// does.
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

    /// Writes the next version of a row, or a row's first.
    pub(super) fn write<R: Record>(
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
