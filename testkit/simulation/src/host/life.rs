//! Whether a host lives, stands still or is alone.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::plan::{CallFault, Fault, PORTS, Plan, Port, Reach};

#[derive(Debug)]
pub(crate) struct Life {
    name: Arc<str>,
    index: u64,
    calls: [AtomicU32; PORTS],
    /// Per port: which call is struck, by what, and where that stands in the plan.
    faults: [Vec<(u32, CallFault, usize)>; PORTS],
    state: Mutex<State>,
}

#[derive(Default, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "conditions of a host, any of which may hold beside any"
)]
struct State {
    /// Lives are counted from 1.
    life: u64,
    running: bool,
    /// Whether it was running when it was killed.
    dead: bool,
    /// Whether it never comes back.
    lost: bool,
    paused: bool,
    cut: Option<(Reach, CutBy)>,
    jumped: i64,
    shutdown: CancellationToken,
    task: Option<AbortHandle>,
    sleepers: Vec<Waker>,
}

/// The fault of the plan that cut a host off; none = the scenario did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutBy(pub(crate) Option<usize>);

impl Life {
    pub(crate) fn new(name: &str, index: usize, plan: &Plan) -> Self {
        let mut faults: [Vec<_>; PORTS] = Default::default();
        for (place, fault) in plan.faults.iter().enumerate() {
            if let Fault::Call {
                host,
                port,
                call,
                fault,
            } = fault
                && &**host == name
            {
                faults[*port as usize].push((*call, *fault, place));
            }
        }
        Self {
            name: name.into(),
            index: index as u64,
            calls: Default::default(),
            faults,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn index(&self) -> u64 {
        self.index
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state().running
    }

    pub(crate) fn number(&self) -> u64 {
        self.state().life
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// A new life; none = it is running.
    pub(crate) fn begin(&self) -> Option<u64> {
        let mut state = self.state();
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

    pub(crate) fn runs_as(&self, life: u64, task: AbortHandle) {
        let mut state = self.state();
        if state.life == life {
            state.task = Some(task);
        }
    }

    pub(crate) fn end(&self, life: u64) {
        let mut state = self.state();
        if state.life == life {
            state.running = false;
        }
    }

    pub(crate) fn lose(&self) {
        self.state().lost = true;
        self.kill();
    }

    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.dead |= std::mem::take(&mut state.running);
        state.sleepers.clear();
        if let Some(task) = state.task.take() {
            drop(state);
            task.abort();
        }
    }

    pub(crate) fn stop(&self) {
        let token = self.state().shutdown.clone();
        token.cancel();
    }

    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.state().shutdown.clone()
    }

    pub(crate) fn pause(&self) {
        self.state().paused = true;
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state().paused
    }

    pub(crate) fn resume(&self) {
        let mut state = self.state();
        state.paused = false;
        let sleepers = std::mem::take(&mut state.sleepers);
        drop(state);
        for sleeper in sleepers {
            sleeper.wake();
        }
    }

    pub(crate) fn cut(&self, from: Reach, by: CutBy) {
        self.state().cut = Some((from, by));
    }

    pub(crate) fn reconnect(&self) {
        self.state().cut = None;
    }

    /// Whether it is cut off from there, and by which fault of the plan.
    pub(crate) fn is_cut(&self, from: Reach) -> Option<CutBy> {
        let (cut, by) = self.state().cut?;
        (cut == from || cut == Reach::Everything).then_some(by)
    }

    pub(crate) fn jump(&self, seconds: i64) {
        self.state().jumped += seconds;
    }

    pub(crate) fn jumped(&self) -> i64 {
        self.state().jumped
    }

    /// Ready while this life goes on and the host is not paused. A life that is over waits for ever.
    pub(crate) fn poll_awake(&self, life: u64, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.life != life || !state.running {
            return Poll::Pending;
        }
        if !state.paused {
            return Poll::Ready(());
        }
        if !state
            .sleepers
            .iter()
            .any(|waker| waker.will_wake(context.waker()))
        {
            state.sleepers.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Counts a call; answers with its number and what strikes it.
    pub(crate) fn call(&self, port: Port) -> (u32, Option<(CallFault, usize)>) {
        let port = port as usize;
        let call = self.calls[port].fetch_add(1, Ordering::Relaxed) + 1;
        let struck = self.faults[port].iter().find(|(at, ..)| *at == call);
        (call, struck.map(|(_, fault, place)| (*fault, *place)))
    }
}
