//! The state of the server: tables, sessions, locks and sequences, behind one mutex.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::oneshot;

use super::{
    cause::Cause,
    locks::{Locks, RowId, Session, Strength},
    savepoint::Savepoint,
    snapshot::{Snapshot, TransactionId},
    table::{ErasedTable, Record, Table},
};

/// The server. Its mutex is held for single steps, never during a wait.
#[derive(Default)]
pub(super) struct Server {
    state: Mutex<State>,
    watcher: OnceLock<Watcher>,
}

/// Called after each commit with the tables it wrote to.
pub(super) type Watcher = Box<dyn Fn(&BTreeSet<&'static str>) + Send + Sync>;

impl Server {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No step leaves the state half changed, so a panic elsewhere in a test does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits, and calls the watcher.
    pub(super) fn commit(&self, session: Session) {
        let tables = self.state().end(session, true);
        if let Some(watcher) = self.watcher.get()
            && !tables.is_empty()
        {
            watcher(&tables);
        }
    }

    /// Only the first watcher counts.
    pub(super) fn watch(&self, watcher: Watcher) {
        drop(self.watcher.set(watcher));
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) tables: BTreeMap<&'static str, Box<dyn ErasedTable>>,
    sequences: BTreeMap<Cow<'static, str>, i64>,
    sessions: BTreeMap<Session, Open>,
    pub(super) locks: Locks,
    /// Transactions in progress that have an id, with their sessions.
    running: BTreeMap<TransactionId, Session>,
    last_drawn: u64,
    last_ended: u64,
    /// The `xmin` of every statement in progress.
    snapshots: BTreeMap<u64, TransactionId>,
    last_session: Session,
    last_row: RowId,
    last_statement: u64,
}

/// One transaction.
#[derive(Default)]
pub(super) struct Open {
    pub(super) id: Option<TransactionId>,
    pub(super) phase: Phase,
    pub(super) statements: u32,
    pub(super) tables: BTreeSet<&'static str>,
    pub(super) savepoint: Option<Savepoint>,
    /// The transaction whose end it waits for.
    waits_for: Option<Session>,
    /// Notified when it ends, or goes back to its savepoint.
    pub(super) watchers: Vec<oneshot::Sender<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Phase {
    #[default]
    Open,
    /// An error ended it on the server; the client has yet to notice.
    Aborted,
    /// The client can no longer use it, but the server keeps its locks.
    Severed,
    /// The client requested a commit and got no answer; the server has not decided yet.
    Pending,
    /// The client is gone and the server does not know.
    Lingering,
}

/// The answer to a request for a lock.
pub(super) enum Request {
    Granted,
    Busy,
    Wait(oneshot::Receiver<()>),
    Deadlock,
}

impl State {
    pub(super) fn begin(&mut self) -> Session {
        self.last_session += 1;
        self.sessions.insert(self.last_session, Open::default());
        self.last_session
    }

    pub(super) fn session(&mut self, session: Session) -> Option<&mut Open> {
        self.sessions.get_mut(&session)
    }

    pub(super) fn phase(&self, session: Session) -> Phase {
        let open = self.sessions.get(&session);
        open.map_or(Phase::Aborted, |open| open.phase)
    }

    pub(super) fn id(&self, session: Session) -> Option<TransactionId> {
        self.sessions.get(&session).and_then(|open| open.id)
    }

    /// The transaction's id, drawn now unless it has one.
    pub(super) fn draw_id(&mut self, session: Session) -> TransactionId {
        if let Some(id) = self.id(session) {
            return id;
        }
        self.last_drawn += 1;
        let id = TransactionId(self.last_drawn);
        if let Some(open) = self.sessions.get_mut(&session)
            && open.phase != Phase::Aborted
        {
            open.id = Some(id);
            self.running.insert(id, session);
        } else {
            self.last_ended = self.last_ended.max(id.0);
        }
        id
    }

    pub(super) fn sessions_in(&self, phase: Phase) -> Vec<Session> {
        let sessions = self.sessions.iter();
        let matching = sessions.filter(|(_, open)| open.phase == phase);
        matching.map(|(&session, _)| session).collect()
    }

    /// Starts a statement: its number, its place in the transaction and its snapshot.
    pub(super) fn start_statement(&mut self, session: Session) -> (u64, u32, Snapshot) {
        let command = self.session(session).map_or(0, |open| {
            open.statements += 1;
            open.statements
        });
        let own = self.id(session);
        let xmax = TransactionId(self.last_ended + 1);
        let in_progress: Vec<_> = self
            .running
            .range(..xmax)
            .map(|(&id, _)| id)
            .filter(|&id| Some(id) != own)
            .collect();
        let oldest = in_progress.first().copied().into_iter().chain(own);
        let xmin = oldest.min().map_or(xmax, |oldest| oldest.min(xmax));
        self.last_statement += 1;
        self.snapshots.insert(self.last_statement, xmin);
        let snapshot = Snapshot {
            xmin,
            xmax,
            in_progress,
        };
        (self.last_statement, command, snapshot)
    }

    pub(super) fn end_statement(&mut self, statement: u64) {
        self.snapshots.remove(&statement);
    }

    pub(super) fn next_value(&mut self, sequence: Cow<'static, str>) -> i64 {
        let value = self.sequences.entry(sequence).or_default();
        *value += 1;
        *value
    }

    pub(super) fn new_row(&mut self) -> RowId {
        self.last_row += 1;
        self.last_row
    }

    /// The table for reading; `None` if nothing of this type was ever written.
    pub(super) fn table<R: Record>(&self) -> Option<&Table<R>> {
        self.tables.get(R::TABLE)?.as_any().downcast_ref()
    }

    /// The table for writing by this session.
    pub(super) fn table_mut<R: Record>(
        &mut self,
        session: Session,
    ) -> Result<&mut Table<R>, Cause> {
        if let Some(open) = self.sessions.get_mut(&session) {
            open.tables.insert(R::TABLE);
        }
        let table = self
            .tables
            .entry(R::TABLE)
            .or_insert_with(|| Box::<Table<R>>::default());
        let table = table.as_any_mut().downcast_mut();
        table.ok_or(Cause::AnotherType(R::TABLE))
    }

    /// Whether this id is that of another transaction in progress, and whose.
    pub(super) fn in_progress(&self, id: TransactionId, session: Session) -> Option<Session> {
        let owner = self.running.get(&id).copied();
        owner.filter(|&owner| owner != session)
    }

    /// Takes a row's lock, or says how to wait for it.
    pub(super) fn lock(
        &mut self,
        session: Session,
        row: RowId,
        strength: Strength,
        may_wait: bool,
    ) -> Request {
        if self.locks.try_acquire(session, row, strength) {
            return Request::Granted;
        }
        if !may_wait {
            return Request::Busy;
        }
        let granted = self.locks.enqueue(session, row, strength);
        if self.is_deadlocked(session) {
            self.locks.cancel(session);
            return Request::Deadlock;
        }
        Request::Wait(granted)
    }

    /// Waits for the end of another transaction.
    pub(super) fn watch(&mut self, session: Session, other: Session) -> Request {
        let Some(watched) = self.sessions.get_mut(&other) else {
            return Request::Granted;
        };
        let (ended, receiver) = oneshot::channel();
        watched.watchers.push(ended);
        if let Some(open) = self.sessions.get_mut(&session) {
            open.waits_for = Some(other);
        }
        if self.is_deadlocked(session) {
            self.stop_waiting(session);
            return Request::Deadlock;
        }
        Request::Wait(receiver)
    }

    pub(super) fn stop_waiting(&mut self, session: Session) {
        self.locks.cancel(session);
        if let Some(open) = self.sessions.get_mut(&session) {
            open.waits_for = None;
        }
    }

    /// Whether the session waits for itself, directly or through others. Only a session that starts
    /// to wait can close a cycle, so it finds the cycle here at once and is the victim.
    fn is_deadlocked(&self, session: Session) -> bool {
        let open = self.sessions.get(&session);
        let is_watched = open.is_some_and(|open| !open.watchers.is_empty());
        if !is_watched && !self.locks.is_waited_for(session) {
            return false; // It is last in its queue, so nothing waits for it.
        }
        let mut seen = BTreeSet::new();
        let mut next = self.blockers(session);
        while let Some(blocker) = next.pop() {
            if blocker == session {
                return true;
            }
            if seen.insert(blocker) {
                next.extend(self.blockers(blocker));
            }
        }
        false
    }

    fn blockers(&self, session: Session) -> Vec<Session> {
        let mut blockers = self.locks.blockers(session);
        blockers.extend(self.sessions.get(&session).and_then(|open| open.waits_for));
        blockers
    }

    /// Ends the transaction on the server after an error; the client's side remains.
    pub(super) fn abort(&mut self, session: Session) {
        drop(self.end_work(session, false));
        if let Some(open) = self.sessions.get_mut(&session) {
            open.phase = Phase::Aborted;
        }
    }

    /// Returns the tables that were written to.
    pub(super) fn end(&mut self, session: Session, commit: bool) -> BTreeSet<&'static str> {
        let tables = self.end_work(session, commit);
        self.sessions.remove(&session);
        tables
    }

    /// Makes the writes visible or undoes them, releases locks, and wakes waiting sessions.
    fn end_work(&mut self, session: Session, commit: bool) -> BTreeSet<&'static str> {
        let Some(open) = self.sessions.get_mut(&session) else {
            return BTreeSet::new();
        };
        let (id, tables) = (open.id.take(), std::mem::take(&mut open.tables));
        let watchers = std::mem::take(&mut open.watchers);
        if let Some(id) = id {
            self.running.remove(&id);
            self.last_ended = self.last_ended.max(id.0);
            let seen_by_all = TransactionId(self.last_drawn + 1);
            let horizon = self.snapshots.values().min().copied();
            let horizon = horizon.unwrap_or(seen_by_all);
            for table in &tables {
                if let Some(table) = self.tables.get_mut(table) {
                    if commit {
                        table.commit(id);
                    } else {
                        table.roll_back(id);
                    }
                    table.vacuum(horizon);
                }
            }
        }
        self.stop_waiting(session);
        self.locks.release(session);
        for watcher in watchers {
            // The receiver is gone if the wait was cancelled.
            let _: Result<(), ()> = watcher.send(());
        }
        tables
    }

    /// What a statement without a transaction would see that began now.
    pub(super) fn latest(&self) -> Snapshot {
        let xmax = TransactionId(self.last_ended + 1);
        let in_progress: Vec<_> = self.running.range(..xmax).map(|(&id, _)| id).collect();
        Snapshot {
            xmin: in_progress.first().copied().unwrap_or(xmax),
            xmax,
            in_progress,
        }
    }
}
