//! Ending a run at a call of a port.

use std::{
    collections::BTreeMap,
    future::{pending, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// The points that a run passes, and the one at which it ends. `before:record:3` is a point: a
/// moment, a port, and which of its calls, from 1. Ports of the run go through [`call`](Self::call).
#[derive(Debug)]
pub struct Points {
    end: End,
    state: Mutex<State>,
}

/// Where the run ends.
#[derive(Debug)]
enum End {
    /// At the n-th point of these moments.
    Nth(usize, &'static [Moment]),
    /// At one of these, by the end of the process.
    Abort(Vec<String>),
}

/// When, in relation to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// It has not begun.
    Before,
    /// It has begun and waits for something.
    Within,
    /// It is done, and its answer is not heard.
    After,
}

#[derive(Default, Debug)]
struct State {
    /// Of each port: how often it was called.
    calls: BTreeMap<&'static str, usize>,
    passed: usize,
    struck: Option<String>,
    /// Who runs it.
    waker: Option<Waker>,
}

impl Points {
    /// None: calls are counted.
    pub fn none() -> Arc<Self> {
        Self::aborting(Vec::new())
    }

    /// The `nth` moment before or after a call, over all ports, counted from 1.
    pub fn around_calls(nth: usize) -> Arc<Self> {
        Self::with(End::Nth(nth, &[Moment::Before, Moment::After]))
    }

    /// The `nth` point over all ports, counted from 1; each time a call waits is one, too.
    pub fn anywhere(nth: usize) -> Arc<Self> {
        let all = &[Moment::Before, Moment::Within, Moment::After];
        Self::with(End::Nth(nth, all))
    }

    /// The process itself aborts at whichever of `points` comes first.
    pub fn aborting(points: Vec<String>) -> Arc<Self> {
        Self::with(End::Abort(points))
    }

    fn with(end: End) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { end, state })
    }

    /// Calls a port. Where the run has ended, it never answers.
    ///
    /// # Cancel safety
    /// That of `call`.
    pub async fn call<F: Future>(&self, port: &'static str, call: F) -> F::Output {
        let nth = {
            let mut state = self.state.lock();
            let calls = state.calls.entry(port).or_default();
            *calls += 1;
            *calls
        };
        self.pass(Moment::Before, port, nth).await;
        // Other tasks may run, and a driver that counts polls can end the run here as well.
        pause().await;
        let mut call = pin!(call);
        let answer = poll_fn(|context: &mut Context<'_>| {
            if self.struck().is_some() {
                return Poll::Pending;
            }
            let answer = call.as_mut().poll(context);
            if answer.is_pending() {
                self.ends_at(Moment::Within, port, nth);
            }
            answer
        })
        .await;
        self.pass(Moment::After, port, nth).await;
        answer
    }

    /// Runs `run` until it is struck, and drops it there; to its end, if it is not.
    ///
    /// # Cancel safety
    /// Dropping this drops `run` where it is.
    pub async fn until_struck<F: Future>(&self, run: F) -> Option<F::Output> {
        let mut run = Box::pin(run);
        poll_fn(move |context: &mut Context<'_>| {
            self.state.lock().waker = Some(context.waker().clone());
            let ended = run.as_mut().poll(context);
            if self.struck().is_some() {
                return Poll::Ready(None);
            }
            ended.map(Some)
        })
        .await
    }

    /// Where the run ended.
    pub fn struck(&self) -> Option<String> {
        self.state.lock().struck.clone()
    }

    /// How often each port was called.
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.state.lock().calls.clone()
    }

    /// Suspends only where it ends: cancel-safe calls promise not to lose an answer that was given.
    async fn pass(&self, moment: Moment, port: &'static str, call: usize) {
        if self.ends_at(moment, port, call) {
            pending::<()>().await;
        }
    }

    /// Whether the run ends at this point, or has ended before.
    fn ends_at(&self, moment: Moment, port: &'static str, call: usize) -> bool {
        let mut state = self.state.lock();
        if state.struck.is_some() {
            return true;
        }
        let point = || format!("{moment:?}:{port}:{call}").to_lowercase();
        match &self.end {
            End::Nth(nth, moments) if moments.contains(&moment) => {
                state.passed += 1;
                if state.passed < *nth {
                    return false;
                }
                state.struck = Some(point());
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
                true
            }
            End::Abort(points) if points.contains(&point()) => {
                say_last(&point());
                std::process::abort();
            }
            _ => false,
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a process")]
fn say_last(point: &str) {
    eprintln!("aborted at {point}");
}

/// Suspends once.
async fn pause() {
    let mut paused = false;
    poll_fn(|context: &mut Context<'_>| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
