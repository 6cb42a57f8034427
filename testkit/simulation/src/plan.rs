//! The faults of a run, all listed before it begins.

mod draw;

use std::{fmt, sync::Arc, time::Duration};

pub use draw::Topology;

/// The faults of a run: drawn from a seed or written by hand.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests write it as a literal")]
pub struct Plan {
    /// The faults, in any order.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Something happens at a time after the begin of the run.
    At(Duration, Act),
    /// Something happens to the k-th call, from 1, that a host makes of a port.
    Call {
        /// The host's name.
        host: Arc<str>,
        /// Which kind of call.
        port: Port,
        /// Which of them, counted over all restarts of the host.
        call: u32,
        /// What happens to it.
        fault: CallFault,
    },
}

/// A kind of call from a host to the outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Port {
    /// A transaction begins.
    Begin,
    /// A statement.
    Statement,
    /// A transaction commits.
    Commit,
    /// Messages are published.
    Publish,
    /// A consumer gets an event.
    Deliver,
    /// Offsets are committed.
    Acknowledge,
    /// Partitions are released.
    Release,
    /// A handler runs.
    Handle,
}

/// What happens to a call.
///
/// Where a fault does not fit a port, the call or its answer is lost; a handler refuses its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CallFault {
    /// It is sent this much later.
    Stall(Duration),
    /// It is sent, and its answer comes this much later.
    LateAnswer(Duration),
    /// It does not arrive.
    Lost,
    /// It arrives, and its answer is lost.
    AnswerLost,
    /// Its answer is lost, and it is applied this much later.
    AppliedLater(Duration),
    /// Its answer is lost, and it is discarded this much later.
    DiscardedLater(Duration),
    /// The database ends the transaction with a serialization failure; a handler fails with one.
    Conflict,
    /// A statement waits too long for a lock.
    LockTimeout,
    /// Only the first half of the messages arrives.
    HalfLost,
    /// It arrives twice.
    Twice,
    /// It arrives, and once more this much later.
    Echo(Duration),
    /// A handler fails with an error that may heal.
    Fails,
    /// A handler panics.
    Panics,
}

/// What happens at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Act {
    /// A host is killed, and started again this much later.
    Kill(Arc<str>, Duration),
    /// A host is killed for good.
    Lose(Arc<str>),
    /// A host is asked to shut down, and started again this much later.
    Stop(Arc<str>, Duration),
    /// A host is paused for this long.
    Pause(Arc<str>, Duration),
    /// A host is cut off for this long.
    Cut(Arc<str>, Reach, Duration),
    /// A host's wall clock jumps by this many seconds.
    ClockJump(Arc<str>, i64),
    /// No host reaches the database for this long.
    DatabaseDown(Duration),
    /// No host reaches the broker for this long.
    BrokerDown(Duration),
    /// All groups rebalance.
    Rebalance,
    /// The owner of this partition (of the first topic) is removed from its group without notice.
    Expel(i32),
    /// For this long, transactions whose clients are gone stay open, with their locks.
    Linger(Duration),
    /// Until the simulation heals, the broker refuses the n-th message.
    Refuse(usize),
    /// Until the simulation heals, handlers refuse the n-th message.
    Poison(usize),
}

/// What a host is cut off from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reach {
    /// The database.
    Database,
    /// The broker.
    Broker,
    /// Both.
    Everything,
}

impl Plan {
    /// The plan with only the faults at these indices.
    #[must_use]
    pub fn keep(&self, places: &[usize]) -> Self {
        let kept = places.iter().filter_map(|place| self.faults.get(*place));
        let faults = kept.cloned().collect();
        Self { faults }
    }
}

impl Fault {
    /// The name of its kind, without parameters.
    #[must_use]
    pub fn kind(&self) -> String {
        let whole = match self {
            Self::At(_, act) => format!("{act:?}"),
            Self::Call { port, fault, .. } => format!("{port:?} {fault:?}"),
        };
        whole.split('(').next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().enumerate() {
            writeln!(f, "{place:>4}  {fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(time, act) => write!(f, "at {} ms: {act:?}", time.as_millis()),
            Self::Call {
                host,
                port,
                call,
                fault,
            } => write!(f, "{host}, {port:?} no. {call}: {fault:?}"),
        }
    }
}
