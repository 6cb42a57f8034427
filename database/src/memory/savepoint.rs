//! Savepoints: a transaction goes back to where it was.

use std::collections::BTreeMap;

use super::{
    cause::Cause,
    connection::Connection,
    locks::{RowId, Session, Strength},
    state::State,
};
use crate::Error;

/// Where a transaction was when it set its savepoint.
#[derive(Debug)]
pub(super) struct Savepoint {
    /// Its last statement.
    command: u32,
    locks: BTreeMap<RowId, Strength>,
}

impl Connection {
    pub(super) async fn savepoint(&mut self) -> Result<(), Error> {
        drop(self.statement().await?);
        self.state().set_savepoint(self.session);
        Ok(())
    }

    pub(super) async fn release_savepoint(&mut self) -> Result<(), Error> {
        drop(self.statement().await?);
        let released = self.state().release_savepoint(self.session);
        released.ok_or_else(|| self.fail(Cause::NoSavepoint))
    }

    pub(super) async fn roll_back_to_savepoint(&mut self) -> Result<(), Error> {
        drop(self.statement().await?);
        let undone = self.state().roll_back_to_savepoint(self.session);
        undone.ok_or_else(|| self.fail(Cause::NoSavepoint))
    }
}

impl State {
    fn set_savepoint(&mut self, session: Session) {
        let locks = self.locks.held_by(session);
        if let Some(open) = self.session(session) {
            let command = open.statements;
            open.savepoint = Some(Savepoint { command, locks });
        }
    }

    fn release_savepoint(&mut self, session: Session) -> Option<()> {
        let savepoint = self.session(session)?.savepoint.take();
        savepoint.map(drop)
    }

    /// Undoes writes, releases locks, and wakes the sessions that wait for either.
    fn roll_back_to_savepoint(&mut self, session: Session) -> Option<()> {
        let open = self.session(session)?;
        let savepoint = open.savepoint.take()?;
        let (id, tables) = (open.id, open.tables.clone());
        let watchers = std::mem::take(&mut open.watchers);
        if let Some(id) = id {
            for table in &tables {
                if let Some(table) = self.tables.get_mut(table) {
                    table.roll_back_to(id, savepoint.command);
                }
            }
        }
        self.locks.release_all_but(session, &savepoint.locks);
        if let Some(open) = self.session(session) {
            open.savepoint = Some(savepoint);
        }
        for watcher in watchers {
            // The receiver is gone if the wait was cancelled.
            let _: Result<(), ()> = watcher.send(());
        }
        Some(())
    }
}
