//! The transactions that run at the moment.

use std::{collections::HashMap, sync::Arc};

use mainstay_messaging::Delivery;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::super::{
    lanes::{Portion, Slot},
    outcome::Attempt,
};
use crate::{
    Error,
    failure::{Failure, FailureOutcome},
};

/// Messages that were taken out of their lanes, and the task that works on them.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) portions: Vec<Portion<Arc<Delivery>>>,
    abort: AbortHandle,
    /// In the order of starts.
    number: u64,
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum Landing {
    /// A transaction was tried.
    Attempt(Attempt),
    /// The failure policy was asked about a message.
    FailurePolicy(Result<FailureOutcome, Error>, Failure),
    /// It was abandoned or panicked. If it was committing, the processed records decide.
    Abandoned(JoinError),
}

/// The tasks in flight; all are aborted when this is dropped.
#[derive(Debug)]
pub(super) struct Flights {
    tasks: JoinSet<Landing>,
    by_id: HashMap<Id, Flight>,
    started: u64,
}

impl Flights {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            by_id: HashMap::new(),
            started: 0,
        }
    }

    pub(super) fn start(
        &mut self,
        portions: Vec<Portion<Arc<Delivery>>>,
        task: impl Future<Output = Landing> + Send + 'static,
    ) {
        let abort = self.tasks.spawn(task);
        self.started += 1;
        let flight = Flight {
            portions,
            number: self.started,
            abort,
        };
        self.by_id.insert(flight.abort.id(), flight);
    }

    /// Waits until a task ends; `None` if there is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<(Flight, Landing)> {
        loop {
            let (id, landing) = match self.tasks.join_next_with_id().await? {
                Ok((id, landing)) => (id, landing),
                Err(error) => (error.id(), Landing::Abandoned(error)),
            };
            if let Some(flight) = self.by_id.remove(&id) {
                return Some((flight, landing));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether a transaction with messages of an assignment runs.
    pub(super) fn concern(&self, slot: Slot) -> bool {
        self.by_id.values().any(|flight| flight.concerns(slot))
    }

    /// Abandons the transactions with messages of an assignment. They land, too.
    pub(super) fn abandon(&self, slot: Slot) {
        // In the order of starts, so that a simulated run follows from its seed.
        let flights = self.by_id.values().filter(|f| f.concerns(slot));
        let mut flights: Vec<&Flight> = flights.collect();
        flights.sort_unstable_by_key(|flight| flight.number);
        for flight in flights {
            flight.abort.abort();
        }
    }

    pub(super) fn abandon_all(&mut self) {
        self.tasks.abort_all();
    }
}

impl Flight {
    fn concerns(&self, slot: Slot) -> bool {
        self.portions.iter().any(|portion| portion.slot == slot)
    }
}
