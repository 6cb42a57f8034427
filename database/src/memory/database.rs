//! The database: what clients share.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Bound,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};

use super::{
    cause::Cause,
    connection::{Connection, Transaction},
    faults::{CommitFault, Faults, Outcome},
    link::Link,
    pause::pause,
    state::{Phase, Server},
    table::{Record, View},
};
use crate::{
    Error, Transactions,
    commits::{CommitListener, CommitListeners},
};

/// An in-memory database. Clones share it, and the commit listeners.
///
/// ```
/// use mainstay_clock::{SeededIds, TokioClock};
/// use mainstay_database::memory::Database;
///
/// let database = Database::builder().clock(TokioClock::default()).ids(SeededIds::new(7)).build();
/// # drop(database);
/// ```
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
    link: Option<Arc<dyn Link>>,
    listeners: Arc<CommitListeners>,
}

/// Settings of a [`Database`]; from [`Database::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl Builder {
    /// The clock of the database; default the host's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// What random [`Faults`] are drawn from; default the host's randomness.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Arc::new(ids);
        self
    }

    /// An empty database.
    #[must_use]
    pub fn build(self) -> Database {
        let server = Arc::new(Server::default());
        let faults = Faults::new(Arc::clone(&server), self.ids);
        Database {
            inner: Arc::new(Inner {
                server,
                faults,
                clock: self.clock,
            }),
            link: None,
            listeners: Arc::default(),
        }
    }
}

pub(super) struct Inner {
    pub(super) server: Arc<Server>,
    pub(super) faults: Faults,
    pub(super) clock: Arc<dyn Clock>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory::Database")
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl From<&Self> for Database {
    fn from(database: &Self) -> Self {
        database.clone()
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Database {
    /// An empty database on the host's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An empty database with a clock or ids of its own.
    pub fn builder() -> Builder {
        Builder {
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(SystemIds::new()),
        }
    }

    /// Opens a transaction; as [`Transactions::begin`], without the import.
    ///
    /// # Errors
    /// As [`Transactions::begin`].
    pub async fn begin(&self) -> Result<Transaction, Error> {
        Transactions::begin(self).await
    }

    /// Commits; as [`Transactions::commit`], without the import.
    ///
    /// # Errors
    /// As [`Transactions::commit`].
    pub async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        Transactions::commit(self, transaction).await
    }

    /// Calls `listener` after each commit through this handle or a clone of it; see
    /// [`commits`](crate::commits).
    pub fn on_commit(&self, listener: Weak<dyn CommitListener>) {
        self.listeners.add(listener);
    }

    /// The same database over a [`Link`] that may fail: another process's handle, with commit
    /// listeners of its own.
    #[must_use]
    pub fn through(&self, link: Arc<dyn Link>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            link: Some(link),
            listeners: Arc::default(),
        }
    }

    /// Faults to inject.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Calls `watcher` after each commit with the tables it wrote to: for checks of a run. Only the
    /// first watcher counts.
    pub fn watch(&self, watcher: impl Fn(&BTreeSet<&'static str>) + Send + Sync + 'static) {
        self.inner.server.watch(Box::new(watcher));
    }

    /// The committed rows of a table in key order, without faults: for checks of a run.
    #[must_use]
    pub fn committed<R: Record>(&self) -> Vec<Arc<R>> {
        let state = self.inner.server.state();
        let snapshot = state.latest();
        let view = View {
            snapshot: &snapshot,
            own: None,
            command: 0,
        };
        let range = (Bound::Unbounded, Bound::Unbounded);
        let rows = state.table::<R>();
        let rows = rows.map(|table| table.scan(range, view, usize::MAX));
        let rows = rows.unwrap_or_default().into_iter();
        rows.map(|(_, record)| record).collect()
    }

    /// The database's own clock, outside any statement.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.inner.clock.now()
    }

    fn commit_now(
        &self,
        transaction: &Transaction,
        on_the_way: Option<CommitFault>,
    ) -> Result<(), Error> {
        let connection = &transaction.connection;
        let session = connection.session;
        if !Arc::ptr_eq(&self.inner, &connection.inner) {
            return Err(connection.fail(Cause::AnotherDatabase));
        }
        connection.check_open()?;
        let fault = self.inner.faults.strike_commit().or(on_the_way);
        let server = &self.inner.server;
        let unknown = || Err(Error::OutcomeUnknown(Cause::ConnectionLost.into()));
        match fault {
            None => {
                server.commit(session);
                Ok(())
            }
            Some(CommitFault::Serialization) => Err(connection.fail(Cause::SerializationFailure)),
            Some(CommitFault::Unknown(Outcome::Applied)) => {
                server.commit(session);
                unknown()
            }
            Some(CommitFault::Unknown(Outcome::NotApplied)) => {
                drop(server.state().end(session, false));
                unknown()
            }
            Some(CommitFault::Unknown(Outcome::AppliedLater)) => {
                if let Some(open) = server.state().session(session) {
                    open.phase = Phase::Pending;
                }
                unknown()
            }
        }
    }
}

#[async_trait]
impl Transactions for Database {
    type Connection = Connection;
    type Transaction = Transaction;

    async fn begin(&self) -> Result<Transaction, Error> {
        pause().await;
        let cut = match &self.link {
            Some(link) => !link.begin().await,
            None => false,
        };
        match self.inner.faults.strike_begin() {
            None if !cut => {
                let link = self.link.clone();
                Ok(Transaction::new(Arc::clone(&self.inner), link))
            }
            cause => Err(Error::Unavailable(
                cause.unwrap_or(Cause::ConnectionLost).into(),
            )),
        }
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        pause().await;
        let on_the_way = match transaction.connection.link.clone() {
            Some(link) => link.commit().await,
            None => None,
        };
        let committed = self.commit_now(&transaction, on_the_way);
        if let Ok(()) | Err(Error::OutcomeUnknown(_)) = &committed {
            self.listeners.committed();
        }
        committed
    }

    async fn savepoint(&self, connection: &mut Connection) -> Result<(), Error> {
        connection.savepoint().await
    }

    async fn release_savepoint(&self, connection: &mut Connection) -> Result<(), Error> {
        connection.release_savepoint().await
    }

    async fn roll_back_to_savepoint(&self, connection: &mut Connection) -> Result<(), Error> {
        connection.roll_back_to_savepoint().await
    }

    fn idle_limit(&self) -> Option<Duration> {
        None
    }
}
