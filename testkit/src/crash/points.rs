//! Ending a run at a call of a port.

use std::{
    collections::BTreeMap,
    future::{pending, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{Moment, Point};

/// The points that a run comes by, and the one at which it ends.
///
/// Ports that belong to the run go through [`call`](Self::call): a store, a publisher, transactions, a consumer, a handler.
#[derive(Debug)]
pub struct Points {
    strike: Strike,
    state: Mutex<State>,
}

/// Where the run ends.
#[derive(Debug)]
enum Strike {
    Never,
    /// At the n-th point of these moments.
    Nth(usize, &'static [Moment]),
    /// At one of these, by the end of the process.
    Abort(Vec<Point>),
}

#[derive(Default, Debug)]
struct State {
    /// Of each port: how often it was called.
    calls: BTreeMap<&'static str, usize>,
    passed: usize,
    struck: Option<Point>,
    /// Who runs it.
    waker: Option<Waker>,
}

/// Whether it goes on behind a point.
enum Fate {
    Lives,
    Dead,
}

impl Points {
    /// None: calls are counted.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Self::with(Strike::Never)
    }

    /// The `nth` moment before or after a call, over all ports, counted from 1.
    #[must_use]
    pub fn around_calls(nth: usize) -> Arc<Self> {
        Self::with(Strike::Nth(nth, &[Moment::Before, Moment::After]))
    }

    /// The `nth` point over all ports, counted from 1; each time a call waits for something is one, too.
    #[must_use]
    pub fn anywhere(nth: usize) -> Arc<Self> {
        Self::with(Strike::Nth(
            nth,
            &[Moment::Before, Moment::Within, Moment::After],
        ))
    }

    /// The process itself aborts at whichever of `points` comes first.
    #[must_use]
    pub fn aborting(points: Vec<Point>) -> Arc<Self> {
        Self::with(Strike::Abort(points))
    }

    fn with(strike: Strike) -> Arc<Self> {
        Arc::new(Self {
            strike,
            state: Mutex::default(),
        })
    }

    /// Calls a port. Where the run has ended, it never answers.
    ///
    /// # Cancel safety
    /// That of `call`.
    pub async fn call<F: Future>(&self, port: &'static str, call: F) -> F::Output {
        let nth = {
            let mut state = self.state();
            let calls = state.calls.entry(port).or_default();
            *calls += 1;
            *calls
        };
        self.come_by(Moment::Before, port, nth).await;
        // Others may run, and a driver that counts polls can strike here as well.
        pause().await;
        let mut call = pin!(call);
        let answer = poll_fn(|context: &mut Context<'_>| {
            if self.struck().is_some() {
                return Poll::Pending;
            }
            let answer = call.as_mut().poll(context);
            if answer.is_pending() {
                self.pass(Moment::Within, port, nth);
            }
            answer
        })
        .await;
        self.come_by(Moment::After, port, nth).await;
        answer
    }

    /// Runs `run` until it is struck, and drops it there; to its end, if it is not.
    ///
    /// # Cancel safety
    /// Dropping this drops `run` where it is.
    pub async fn until_struck<F: Future>(&self, run: F) -> Option<F::Output> {
        let mut run = Box::pin(run);
        poll_fn(move |context: &mut Context<'_>| {
            self.state().waker = Some(context.waker().clone());
            let ended = run.as_mut().poll(context);
            match (self.struck(), ended) {
                (Some(_), _) => Poll::Ready(None),
                (None, Poll::Ready(output)) => Poll::Ready(Some(output)),
                (None, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// Where the run was struck.
    #[must_use]
    pub fn struck(&self) -> Option<Point> {
        self.state().struck.clone()
    }

    /// How many points the run came by, of those at which it could have been struck.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.state().passed
    }

    /// How often each port was called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.state().calls.clone()
    }

    /// Suspends only where it ends: an answer that was given is never lost on its way, as calls that are cancel safe promise.
    async fn come_by(&self, moment: Moment, port: &'static str, call: usize) {
        if let Fate::Dead = self.pass(moment, port, call) {
            pending::<()>().await;
        }
    }

    fn pass(&self, moment: Moment, port: &'static str, call: usize) -> Fate {
        let mut state = self.state();
        if state.struck.is_some() {
            return Fate::Dead;
        }
        let point = || Point {
            moment,
            port: port.to_owned(),
            call,
        };
        match &self.strike {
            Strike::Never => Fate::Lives,
            Strike::Nth(nth, moments) => {
                state.passed += usize::from(moments.contains(&moment));
                if !moments.contains(&moment) || state.passed != *nth {
                    return Fate::Lives;
                }
                state.struck = Some(point());
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
                Fate::Dead
            }
            Strike::Abort(points) => {
                if points.contains(&point()) {
                    say_last(&point());
                    std::process::abort();
                }
                Fate::Lives
            }
        }
    }

    /// Nothing panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a process")]
fn say_last(point: &Point) {
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
