//! Faults on demand and at random.

mod unfinished;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mainstay_clock::IdGenerator;

use super::{
    cause::Cause,
    state::{Phase, Server},
};

pub use unfinished::{Lingering, PendingCommit};

/// A fault of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The transaction fails with 40001: [`Error::Conflict`](crate::Error::Conflict).
    Serialization,
    /// A wait for a lock times out, 55P03: [`Error::Conflict`](crate::Error::Conflict).
    LockTimeout,
    /// The connection breaks: [`Error::Unavailable`](crate::Error::Unavailable). The server keeps
    /// the transaction's locks until the client drops it, and longer if it
    /// [lingers](Faults::linger).
    Unavailable,
}

impl Fault {
    pub(super) const fn cause(self) -> Cause {
        match self {
            Self::Serialization => Cause::SerializationFailure,
            Self::LockTimeout => Cause::LockTimeout,
            Self::Unavailable => Cause::ConnectionLost,
        }
    }
}

/// A fault of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CommitFault {
    /// It fails with 40001 and is not applied: [`Error::Conflict`](crate::Error::Conflict).
    Serialization,
    /// Its answer is lost: [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown).
    Unknown(Outcome),
}

/// The outcome of a commit whose answer was lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "these are all there are, and a test covers each"
)]
pub enum Outcome {
    /// It was applied before the answer was lost.
    Applied,
    /// It never arrived, and the server has rolled the transaction back.
    NotApplied,
    /// It is still under way: until the test [applies or discards](Faults::pending) it, the
    /// transaction keeps its locks and its id stays in progress.
    AppliedLater,
}

/// A statement about to run, for [`Faults::when`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Which transaction, counted from 1 in the order they began.
    pub transaction: u64,
    /// Which of its statements, counted from 1.
    pub statement: u32,
}

type Rule = Box<dyn FnMut(Attempt) -> Option<Fault> + Send>;

/// Injects faults; from [`Database::faults`](super::Database::faults).
pub struct Faults {
    server: Arc<Server>,
    ids: Arc<dyn IdGenerator>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    statements: u64,
    commits: u64,
    at_statement: BTreeMap<u64, Fault>,
    at_commit: BTreeMap<u64, CommitFault>,
    /// How rare each fault is: one in this many statements or commits.
    rare: Vec<(u64, Fault)>,
    rare_commits: Vec<(u64, CommitFault)>,
    rule: Option<Rule>,
    down: bool,
    lingers: bool,
}

impl Faults {
    pub(super) fn new(server: Arc<Server>, ids: Arc<dyn IdGenerator>) -> Self {
        Self {
            server,
            ids,
            plan: Mutex::default(),
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The k-th statement from now fails; 1 is the next one, of any transaction.
    pub fn at_statement(&self, k: u64, fault: Fault) {
        let mut plan = self.plan();
        let at = plan.statements + k;
        plan.at_statement.insert(at, fault);
    }

    /// The k-th commit from now fails; 1 is the next one.
    pub fn at_commit(&self, k: u64, fault: CommitFault) {
        let mut plan = self.plan();
        let at = plan.commits + k;
        plan.at_commit.insert(at, fault);
    }

    /// Every statement for which `rule` names a fault fails. It replaces an earlier rule; it runs
    /// under a lock, so it must not use the database.
    pub fn when(&self, rule: impl FnMut(Attempt) -> Option<Fault> + Send + 'static) {
        self.plan().rule = Some(Box::new(rule));
    }

    /// From now on one statement in `one_in`, drawn by the database's id generator, fails. 0 is
    /// never.
    pub fn sometimes(&self, one_in: u64, fault: Fault) {
        self.plan().rare.push((one_in, fault));
    }

    /// From now on one commit in `one_in`, drawn by the database's id generator, fails. 0 is never.
    pub fn commits_sometimes(&self, one_in: u64, fault: CommitFault) {
        self.plan().rare_commits.push((one_in, fault));
    }

    /// Whether the server is out of reach: if so, every `begin` and every statement fails with
    /// [`Error::Unavailable`](crate::Error::Unavailable), and no commit arrives.
    pub fn set_down(&self, down: bool) {
        self.plan().down = down;
    }

    /// Whether transactions that are dropped from now on stay open on the server, with locks and
    /// id, until the test [ends](Lingering::end) them: the server has not noticed that their client
    /// died.
    pub fn linger(&self, lingers: bool) {
        self.plan().lingers = lingers;
    }

    /// Forgets all plans. Pending commits and lingering transactions stay.
    pub fn clear(&self) {
        let mut plan = self.plan();
        *plan = Plan {
            statements: plan.statements,
            commits: plan.commits,
            ..Plan::default()
        };
    }

    /// Commits with [`Outcome::AppliedLater`] that are still under way, oldest transaction first.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingCommit> {
        let sessions = self.server.state().sessions_in(Phase::Pending);
        let server = || Arc::clone(&self.server);
        let pending = sessions.into_iter().map(|session| PendingCommit {
            server: server(),
            session,
        });
        pending.collect()
    }

    /// Transactions that outlived their clients, oldest first.
    #[must_use]
    pub fn lingering(&self) -> Vec<Lingering> {
        let sessions = self.server.state().sessions_in(Phase::Lingering);
        let server = || Arc::clone(&self.server);
        let lingering = sessions.into_iter().map(|session| Lingering {
            server: server(),
            session,
        });
        lingering.collect()
    }

    pub(super) fn lingers(&self) -> bool {
        self.plan().lingers
    }

    pub(super) fn strike_begin(&self) -> Option<Cause> {
        self.plan().down.then_some(Cause::ConnectionLost)
    }

    pub(super) fn strike_statement(&self, attempt: Attempt) -> Option<Cause> {
        let mut plan = self.plan();
        plan.statements += 1;
        let number = plan.statements;
        let planned = plan.at_statement.remove(&number);
        let ruled = plan.rule.as_mut().and_then(|rule| rule(attempt));
        let drawn = draw(&*self.ids, &plan.rare);
        let down = plan.down.then_some(Fault::Unavailable);
        down.or(planned).or(ruled).or(drawn).map(Fault::cause)
    }

    pub(super) fn strike_commit(&self) -> Option<CommitFault> {
        let mut plan = self.plan();
        plan.commits += 1;
        let number = plan.commits;
        let planned = plan.at_commit.remove(&number);
        let drawn = draw(&*self.ids, &plan.rare_commits);
        let down = plan
            .down
            .then_some(CommitFault::Unknown(Outcome::NotApplied));
        down.or(planned).or(drawn)
    }
}

/// Draws once for every fault, so that plans do not change each other's draws.
fn draw<F: Copy>(ids: &dyn IdGenerator, rare: &[(u64, F)]) -> Option<F> {
    let drawn = rare.iter().map(|&(one_in, fault)| {
        let hit = ids.random().checked_rem(one_in) == Some(0);
        hit.then_some(fault)
    });
    drawn.fold(None, Option::or)
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan();
        f.debug_struct("Faults")
            .field("at_statement", &plan.at_statement)
            .field("at_commit", &plan.at_commit)
            .field("rare", &plan.rare)
            .field("rare_commits", &plan.rare_commits)
            .field("down", &plan.down)
            .field("lingers", &plan.lingers)
            .finish_non_exhaustive()
    }
}
