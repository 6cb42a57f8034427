//! What statements run on: one transaction.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    cause::Cause,
    database::Inner,
    faults::{Attempt, Fault},
    link::Link,
    locks::{RowId, Session, Strength},
    pause::pause,
    snapshot::TransactionId,
    state::{Phase, Request, State},
    statement::{Statement, Wait},
};
use crate::Error;

/// The connection of an open transaction.
#[derive(Debug)]
pub struct Connection {
    pub(super) inner: Arc<Inner>,
    pub(super) session: Session,
    pub(super) link: Option<Arc<dyn Link>>,
    lock_timeout: Option<Duration>,
}

impl Connection {
    /// Starts a statement and takes its snapshot; see [the module](super) for what belongs to one
    /// statement.
    ///
    /// Other tasks run first, as they do while a statement travels to a server.
    ///
    /// # Errors
    /// [`Error::Aborted`] after an earlier error in this transaction; injected
    /// [`Faults`](super::Faults).
    ///
    /// # Cancel safety
    /// Cancel safe: no statement has begun.
    pub async fn statement(&mut self) -> Result<Statement<'_>, Error> {
        pause().await;
        let on_the_way = match self.link.clone() {
            Some(link) => link.statement().await,
            None => None,
        };
        self.check_open()?;
        let number = self
            .state()
            .session(self.session)
            .map_or(1, |open| open.statements + 1);
        let fault = self.inner.faults.strike_statement(Attempt {
            transaction: self.session,
            statement: number,
        });
        if let Some(cause) = fault.or(on_the_way.map(Fault::cause)) {
            return Err(self.fail(cause));
        }
        let now = self.inner.clock.now();
        let (id, command, snapshot) = self.state().start_statement(self.session);
        Ok(Statement {
            connection: self,
            id,
            command,
            snapshot,
            now,
        })
    }

    /// The transaction's id, drawn now unless it has one; `pg_current_xact_id()`.
    ///
    /// Writing and locking draw it too. Until it ends, the id holds back the `xmin` of every later
    /// snapshot.
    pub fn transaction_id(&mut self) -> TransactionId {
        let session = self.session;
        self.state().draw_id(session)
    }

    /// How long a statement of this transaction waits for a lock before it fails with
    /// [`Error::Conflict`]; `SET LOCAL lock_timeout`. `None`, the default, waits for ever.
    pub fn set_lock_timeout(&mut self, timeout: Option<Duration>) {
        self.lock_timeout = timeout;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.server.state()
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        match self.state().phase(self.session) {
            Phase::Open => Ok(()),
            _ => Err(Error::Aborted),
        }
    }

    /// Applies the effect of `cause` to the transaction, and makes it an error.
    pub(super) fn fail(&self, cause: Cause) -> Error {
        let mut state = self.state();
        match cause {
            // The server has yet to notice.
            Cause::ConnectionLost => {
                if let Some(open) = state.session(self.session) {
                    open.phase = Phase::Severed;
                }
                Error::Unavailable(cause.into())
            }
            Cause::SerializationFailure
            | Cause::Deadlock
            | Cause::LockTimeout
            | Cause::LockNotAvailable => {
                state.abort(self.session);
                Error::Conflict(cause.into())
            }
            Cause::KeyChanged(_)
            | Cause::AnotherType(_)
            | Cause::AnotherDatabase
            | Cause::NoSavepoint => {
                state.abort(self.session);
                Error::Failed(cause.into())
            }
        }
    }

    /// Takes a row's lock; false if it is taken and `wait` says to skip it.
    pub(super) async fn lock_row(
        &mut self,
        row: RowId,
        strength: Strength,
        wait: Wait,
    ) -> Result<bool, Error> {
        let may_wait = wait == Wait::Block;
        let request = self.state().lock(self.session, row, strength, may_wait);
        match (request, wait) {
            (Request::Busy, Wait::NoWait) => Err(self.fail(Cause::LockNotAvailable)),
            (Request::Busy, _) => Ok(false),
            (request, _) => self.wait(request).await.map(|()| true),
        }
    }

    /// Waits until another transaction has ended.
    pub(super) async fn wait_for_end_of(&mut self, other: Session) -> Result<(), Error> {
        let request = self.state().watch(self.session, other);
        self.wait(request).await
    }

    async fn wait(&mut self, request: Request) -> Result<(), Error> {
        let told = match request {
            Request::Granted | Request::Busy => return Ok(()),
            Request::Deadlock => return Err(self.fail(Cause::Deadlock)),
            Request::Wait(told) => told,
        };
        let mut waiting = Waiting {
            connection: self,
            over: false,
        };
        let in_time = within(waiting.connection.lock_timeout, told).await;
        waiting.over = true;
        drop(waiting);
        if in_time {
            return Ok(());
        }
        Err(self.fail(Cause::LockTimeout))
    }
}

/// False on timeout. A sender that is gone belongs to a transaction that has ended.
async fn within(timeout: Option<Duration>, told: oneshot::Receiver<()>) -> bool {
    let Some(timeout) = timeout else {
        let (Ok(()) | Err(_)) = told.await;
        return true;
    };
    tokio::time::timeout(timeout, told).await.is_ok()
}

/// A wait in progress. If it is dropped, it leaves the queue, and the transaction can only be
/// rolled back: the client no longer knows what its statement did.
struct Waiting<'a> {
    connection: &'a Connection,
    over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        state.stop_waiting(self.connection.session);
        if !self.over
            && let Some(open) = state.session(self.connection.session)
        {
            open.phase = Phase::Severed;
        }
    }
}

/// An open transaction; rolls back on drop.
#[derive(Debug)]
pub struct Transaction {
    pub(super) connection: Connection,
}

impl Transaction {
    pub(super) fn new(inner: Arc<Inner>, link: Option<Arc<dyn Link>>) -> Self {
        let session = inner.server.state().begin();
        Self {
            connection: Connection {
                inner,
                session,
                link,
                lock_timeout: None,
            },
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let (inner, session) = (&self.connection.inner, self.connection.session);
        let link = self.connection.link.as_ref();
        let lingers = inner.faults.lingers() || link.is_some_and(|link| link.lingers());
        let mut state = inner.server.state();
        match state.phase(session) {
            Phase::Pending | Phase::Lingering => {}
            Phase::Open | Phase::Severed if lingers => {
                if let Some(open) = state.session(session) {
                    open.phase = Phase::Lingering;
                }
            }
            Phase::Open | Phase::Severed | Phase::Aborted => {
                drop(state.end(session, false));
            }
        }
    }
}
