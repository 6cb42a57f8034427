//! Whether a host is alive, paused or cut off.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::plan::{CallFault, Fault, Plan, Port, Reach};

#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) name: Arc<str>,
    pub(crate) index: u64,
    /// The faults of its calls, by port and number of the call, with their index in the plan.
    faults: HashMap<(Port, u32), (CallFault, usize)>,
    pub(crate) state: Mutex<State>,
}

#[derive(Default, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "conditions of a host, any of which may hold beside any"
)]
pub(crate) struct State {
    /// The number of the current life, from 1.
    pub(crate) life: u64,
    pub(crate) running: bool,
    /// Whether it was running when it was killed.
    pub(crate) dead: bool,
    /// Whether it was killed for good.
    pub(crate) lost: bool,
    pub(crate) paused: bool,
    /// Its cut, and the index of the fault that made it; `None` if the scenario did.
    pub(crate) cut: Option<(Reach, Option<usize>)>,
    pub(crate) jumped: i64,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: Option<AbortHandle>,
    sleepers: Vec<Waker>,
    calls: HashMap<Port, u32>,
}

impl Life {
    pub(crate) fn new(name: &str, index: usize, plan: &Plan) -> Self {
        let mut faults = HashMap::new();
        for (place, fault) in plan.faults.iter().enumerate() {
            if let Fault::Call {
                host,
                port,
                call,
                fault,
            } = fault
                && &**host == name
            {
                faults.entry((*port, *call)).or_insert((*fault, place));
            }
        }
        Self {
            name: name.into(),
            index: index as u64,
            faults,
            state: Mutex::default(),
        }
    }

    /// Changes the state, if it still is that of this life.
    pub(crate) fn of(&self, life: u64, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        if state.life == life {
            change(&mut state);
        }
    }

    /// Begins a new life; `None` if it is running.
    pub(crate) fn begin(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if state.running || state.lost {
            return None;
        }
        state.life += 1;
        state.running = true;
        state.dead = false;
        state.paused = false;
        state.shutdown = CancellationToken::new();
        Some(state.life)
    }

    pub(crate) fn kill(&self) {
        let mut state = self.state.lock();
        state.dead |= std::mem::take(&mut state.running);
        state.sleepers.clear();
        if let Some(task) = state.task.take() {
            drop(state);
            task.abort();
        }
    }

    pub(crate) fn resume(&self) {
        let mut state = self.state.lock();
        state.paused = false;
        let sleepers = std::mem::take(&mut state.sleepers);
        drop(state);
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Ready while this life goes on and the host is not paused; never ready once this life is over.
    pub(crate) fn poll_awake(&self, life: u64, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.life != life || !state.running {
            return Poll::Pending;
        }
        if !state.paused {
            return Poll::Ready(());
        }
        let mut sleepers = state.sleepers.iter();
        if !sleepers.any(|waker| waker.will_wake(context.waker())) {
            state.sleepers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Counts a call; returns its number, its fault, and the index of the fault.
    pub(crate) fn call(&self, port: Port) -> (u32, Option<(CallFault, usize)>) {
        let mut state = self.state.lock();
        let call = state.calls.entry(port).or_default();
        *call += 1;
        (*call, self.faults.get(&(port, *call)).copied())
    }
}
