//! What shall go wrong: every fault of a run, one by one, before it begins.

mod draw;

use std::{fmt, sync::Arc, time::Duration};

pub use draw::Topology;

/// The faults of a run, drawn from a seed or written by hand.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Plan {
    /// The faults; the order means nothing.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// At a time after the begin of the run.
    At(Duration, Act),
    /// At the k-th call, from 1, that a host makes of a port.
    Call {
        /// The host's name.
        host: Arc<str>,
        /// Which kind of call.
        port: Port,
        /// Which of them, over all lives of the host.
        call: u32,
        /// What happens to it.
        fault: CallFault,
    },
}

/// Where a host meets the outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Port {
    /// A transaction begins.
    Begin,
    /// A statement.
    Statement,
    /// A transaction commits.
    Commit,
    /// Messages are published.
    Publish,
    /// A consumer is told something.
    Deliver,
    /// Offsets are committed.
    Acknowledge,
    /// Partitions are given back.
    Release,
    /// A handler runs.
    Handle,
}

/// What happens to a call. At a port that it does not fit, the call is lost, or the message refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallFault {
    /// It takes so long until it is sent.
    Stall(Duration),
    /// It is sent, and its answer takes so long.
    LateAnswer(Duration),
    /// It does not arrive.
    Lost,
    /// It arrives, and its answer is lost.
    AnswerLost,
    /// Its answer is lost, and nobody knows yet whether it arrives: it does, so much later.
    AppliedLater(Duration),
    /// Its answer is lost, and so much later it turns out that it never arrived.
    DiscardedLater(Duration),
    /// The database ends the transaction with a serialization failure; a handler fails with one.
    Conflict,
    /// A statement waits too long for a lock.
    LockTimeout,
    /// Only the first half of the messages arrives.
    HalfLost,
    /// It arrives twice.
    Twice,
    /// It arrives, and once more so much later.
    Echo(Duration),
    /// A handler fails, and may succeed later.
    Fails,
    /// A handler panics.
    Panics,
}

/// What happens at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// A host dies, and is started again so much later.
    Kill(Arc<str>, Duration),
    /// A host dies, and never comes back.
    Lose(Arc<str>),
    /// A host is asked to end, and is started again so much later.
    Stop(Arc<str>, Duration),
    /// A host stands still for so long.
    Pause(Arc<str>, Duration),
    /// A host reaches something no more for so long.
    Cut(Arc<str>, Reach, Duration),
    /// A host's wall clock jumps, by so many seconds.
    ClockJump(Arc<str>, i64),
    /// Nobody reaches the database for so long.
    DatabaseDown(Duration),
    /// Nobody reaches the broker for so long.
    BrokerDown(Duration),
    /// All members of all groups get their partitions anew.
    Rebalance,
    /// The holder of this partition leaves its group without knowing it.
    Expel(i32),
    /// For so long, transactions whose clients are gone stay open, with their locks.
    Linger(Duration),
    /// From now until the faults end the broker refuses the n-th message of the scenario.
    Refuse(usize),
    /// From now until the faults end handlers refuse the n-th message of the scenario.
    Poison(usize),
}

/// What a host is cut off from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The database.
    Database,
    /// The broker.
    Broker,
    /// Both.
    Everything,
}

impl Plan {
    /// The plan that keeps of this one only the faults at these places.
    pub fn keep(&self, places: &[usize]) -> Self {
        let kept = places.iter().filter_map(|place| self.faults.get(*place));
        let faults = kept.cloned().collect();
        Self { faults }
    }
}

impl Fault {
    /// What kind of fault it is.
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
