//! What a guard promises whatever the store is: on leases in memory, with time that jumps.
//!
//! Under `start_paused` time is simulated: it moves only while every task waits, so a sleep leads to
//! one moment of the run, however busy the machine is.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_clock::{Backoff, BootId, Clock, Monotonic, TokioClock};
use mainstay_database::memory::Database;
use mainstay_dlock::{
    Error, FencingToken, Guard, LeaderStatus, Locks, MemoryLeases,
    store::{Acquired, Claim, Holding, LeaseStore},
};
use tokio::sync::{mpsc, oneshot};

const LEASE: Duration = Duration::from_secs(10);
/// A hundredth and two milliseconds less.
const HERE: Duration = Duration::from_millis(9_898);
const LONG: Duration = Duration::from_secs(600);

/// A clock that goes on by itself with tokio's, and jumps as a host's does that was suspended.
#[derive(Clone, Debug)]
struct Suspended {
    clock: TokioClock,
    slept: Arc<Mutex<Duration>>,
}

impl Suspended {
    fn new() -> Self {
        Self {
            clock: TokioClock::default(),
            slept: Arc::default(),
        }
    }

    /// No timer of tokio's notices.
    fn sleeps_for(&self, time: Duration) {
        *self.slept.lock().unwrap() += time;
    }
}

impl Clock for Suspended {
    fn now(&self) -> SystemTime {
        self.clock.now() + *self.slept.lock().unwrap()
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic() + *self.slept.lock().unwrap()
    }

    fn boot_id(&self) -> BootId {
        self.clock.boot_id()
    }
}

/// Leases of a server whose answers take a while.
struct Slow {
    leases: MemoryLeases,
    there: Duration,
    back: Mutex<Duration>,
    renewals: AtomicUsize,
    /// Whether it has no lease any more.
    lost: AtomicBool,
    /// Whether it grants nothing.
    is_away: AtomicBool,
    /// What the next renewals do instead.
    instead: Mutex<Vec<Instead>>,
}

#[derive(Clone, Copy, Debug)]
enum Instead {
    Fail,
    Hang,
    Panic,
}

impl Slow {
    async fn new(clock: impl Clock, there: Duration, back: Duration) -> Arc<Self> {
        let database = Database::builder().clock(clock).build();
        Arc::new(Self {
            leases: MemoryLeases::builder(&database).open().await.unwrap(),
            there,
            back: Mutex::new(back),
            renewals: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            instead: Mutex::default(),
        })
    }

    async fn travel<T>(&self, call: impl Future<Output = T>) -> T {
        tokio::time::sleep(self.there).await;
        let answer = call.await;
        let back = *self.back.lock().unwrap();
        tokio::time::sleep(back).await;
        answer
    }
}

#[async_trait]
impl LeaseStore for Slow {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("a test".into()));
        }
        self.travel(self.leases.acquire(claim)).await
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        self.renewals.fetch_add(1, Ordering::SeqCst);
        if self.lost.load(Ordering::SeqCst) {
            return Ok(vec![false; held.len()]);
        }
        let instead = self.instead.lock().unwrap().pop();
        match instead {
            None => self.travel(self.leases.renew(held, lease)).await,
            Some(Instead::Fail) => Err(Error::Unavailable("a test".into())),
            Some(Instead::Hang) => std::future::pending().await,
            Some(Instead::Panic) => panic!("a test"),
        }
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        self.travel(self.leases.release(held)).await
    }
}

const AT_ONCE: Duration = Duration::ZERO;

fn locks_with(clock: &Suspended, store: &Arc<Slow>) -> Locks {
    let locks = Locks::builder(Arc::clone(store)).lease(LEASE);
    locks.clock(clock.clone()).build()
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_past_its_lease_polls_no_more() {
    let clock = Suspended::new();
    let store = Slow::new(clock.clone(), AT_ONCE, AT_ONCE).await;
    let guard = locks_with(&clock, &store).acquire("a", LONG).await;
    let guard = guard.unwrap();
    let (polls, waker) = (AtomicUsize::new(0), Mutex::new(None));
    let work = poll_fn(|context| {
        polls.fetch_add(1, Ordering::SeqCst);
        *waker.lock().unwrap() = Some(context.waker().clone());
        Poll::<()>::Pending
    });
    let suspended = async {
        tokio::task::yield_now().await;
        clock.sleeps_for(HERE);
        // What it waited for has happened: tokio would poll it.
        waker.lock().unwrap().take().unwrap().wake();
    };
    let (ended, ()) = tokio::join!(guard.run(work), suspended);
    assert!(matches!(ended, Err(Error::Lost { .. })));
    assert_eq!(polls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_before_the_request() {
    let (clock, seconds) = (Suspended::new(), Duration::from_secs);
    let store = Slow::new(clock.clone(), seconds(1), seconds(2)).await;
    let locks = locks_with(&clock, &store);
    let guard = locks.acquire("a", LONG).await.unwrap();
    assert_eq!(guard.remaining(), Some(HERE.saturating_sub(seconds(3))));
    // A renewal does as well: it begins after a third of the lease.
    while store.renewals.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(seconds(3)).await;
    let (left, renewed) = (guard.remaining().unwrap(), HERE.saturating_sub(seconds(3)));
    assert!(
        left <= renewed && left + Duration::from_millis(10) > renewed,
        "{left:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_lease_is_no_lock() {
    let clock = Suspended::new();
    let store = Slow::new(clock.clone(), AT_ONCE, HERE).await;
    let locks = locks_with(&clock, &store);
    let late = locks.try_acquire("a").await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    // The same owner asks again.
    let waiting = locks.acquire("b", LONG);
    let quicker = async {
        tokio::time::sleep(HERE / 2).await;
        *store.back.lock().unwrap() = AT_ONCE;
    };
    let (guard, ()) = tokio::join!(waiting, quicker);
    assert!(guard.unwrap().is_held());
}

/// Otherwise its holder would go on beside the one that the store lets in while the answer travels.
#[tokio::test(start_paused = true)]
async fn a_guard_is_over_before_its_release_is_sent() {
    let (clock, second) = (Suspended::new(), Duration::from_secs(1));
    let store = Slow::new(clock.clone(), second, second).await;
    let (hand_out, mut handed) = mpsc::unbounded_channel();
    let leader = locks_with(&clock, &store).lead("a", move |guard| {
        hand_out.send(guard).unwrap();
        std::future::pending::<Result<(), Error>>()
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let leading = tokio::spawn(leader.run_until(async { drop(stopped.await) }));
    let guard = handed.recv().await.unwrap();
    assert!(guard.is_held());
    drop(stop);
    let next = || {
        let holding = Holding {
            name: "a",
            owner: "next",
        };
        store.leases.acquire(Claim {
            holding,
            lease: LEASE,
            above: FencingToken::ZERO,
        })
    };
    tokio::time::sleep(second / 2).await;
    assert!(!guard.is_held(), "its release is on the way");
    assert!(matches!(next().await, Ok(Acquired::Held { .. })));
    tokio::time::sleep(second).await;
    assert!(!guard.is_held(), "the answer is on the way");
    assert!(matches!(next().await, Ok(Acquired::Granted(_))));
    leading.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_candidate_tells_whether_it_leads_and_why_not() {
    let clock = Suspended::new();
    let store = Slow::new(clock.clone(), AT_ONCE, AT_ONCE).await;
    let locks = locks_with(&clock, &store);
    let first = locks.acquire("a", LONG).await.unwrap();
    let work = |_guard| async { Err::<(), _>("the work of a test") };
    let leader = locks.lead("a", work).backoff(Backoff::new(LONG, LONG));
    let handle = leader.handle();
    let (stop, stopped) = oneshot::channel::<()>();
    let leading = tokio::spawn(leader.run_until(async { drop(stopped.await) }));
    let until = async |what: &str, is: &dyn Fn(LeaderStatus) -> bool| {
        for _ in 0..1_000 {
            if is(handle.status()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: {handle:?}");
    };
    store.is_away.store(true, Ordering::SeqCst);
    let is = |text: &'static str| {
        move |status: LeaderStatus| status.last_error.is_some_and(|error| error.contains(text))
    };
    until("the store is away", &is("is not available")).await;
    store.is_away.store(false, Ordering::SeqCst);
    until("another one leads", &|status| {
        status.last_error.is_none() && status.leading.is_none() && status.terms == 0
    })
    .await;
    first.release().await.unwrap();
    until("its work fails", &is("the work of a test")).await;
    let status = handle.status();
    assert_eq!((status.leading, status.terms), (None, 1));
    drop(stop);
    leading.await.unwrap().unwrap();

    let (hand_out, mut handed) = mpsc::unbounded_channel();
    let leader = locks.lead("b", move |guard: Guard| {
        hand_out.send(guard.token()).unwrap();
        std::future::pending::<Result<(), Error>>()
    });
    let handle = leader.handle();
    let leading = tokio::spawn(leader.run_until(std::future::pending()));
    let token = handed.recv().await;
    assert_eq!(handle.status().leading, token);
    leading.abort();
    assert!(leading.await.is_err());
    assert_eq!(handle.status().leading, None);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_or_hangs_is_repeated_in_time() {
    let clock = Suspended::new();
    let store = Slow::new(clock.clone(), AT_ONCE, AT_ONCE).await;
    let locks = locks_with(&clock, &store);
    let guard = locks.acquire("a", LONG).await.unwrap();
    for instead in [Instead::Fail, Instead::Hang] {
        store.instead.lock().unwrap().push(instead);
        guard.run(tokio::time::sleep(LEASE * 3)).await.unwrap();
        assert!(store.instead.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_panics_costs_its_leases_and_no_later_ones() {
    let clock = Suspended::new();
    let store = Slow::new(clock.clone(), AT_ONCE, AT_ONCE).await;
    let locks = locks_with(&clock, &store);
    let guard = locks.acquire("a", LONG).await.unwrap();
    store.instead.lock().unwrap().push(Instead::Panic);
    guard.lost().await;
    let next = locks.acquire("b", LONG).await.unwrap();
    next.run(tokio::time::sleep(LEASE * 3)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_the_store_has_lost_ends_at_the_next_renewal() {
    let clock = Suspended::new();
    let store = Slow::new(clock.clone(), AT_ONCE, AT_ONCE).await;
    let locks = locks_with(&clock, &store);
    let (guard, began) = (locks.acquire("a", LONG).await.unwrap(), clock.monotonic());
    // Somebody deletes it.
    store.lost.store(true, Ordering::SeqCst);
    let ended = guard.run(std::future::pending::<()>()).await;
    assert!(matches!(ended, Err(Error::Lost { .. })));
    assert!(clock.monotonic() - began < LEASE / 2);
}

/// The store has renewed, and its answer is on the way while the host sleeps past the end of the lease.
#[tokio::test(start_paused = true)]
async fn a_lease_that_has_ended_stays_over_though_its_renewal_was_answered() {
    let clock = Suspended::new();
    let store = Slow::new(clock.clone(), AT_ONCE, AT_ONCE).await;
    let guard = locks_with(&clock, &store).acquire("a", LONG).await.unwrap();
    *store.back.lock().unwrap() = Duration::from_secs(1);
    tokio::time::sleep(LEASE / 3 + Duration::from_millis(500)).await;
    assert_eq!(store.renewals.load(Ordering::SeqCst), 1);
    clock.sleeps_for(LEASE * 4 / 5);
    assert!(!guard.is_held());
    // The answer has come, and would let the lease last longer than this.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!guard.is_held());
    guard.lost().await;
}

/// Leases that know nothing of floors.
struct Floorless(MemoryLeases);

#[async_trait]
impl LeaseStore for Floorless {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        let above = FencingToken::ZERO;
        self.0.acquire(Claim { above, ..claim }).await
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        self.0.renew(held, lease).await
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        self.0.release(held).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_above_the_floor_is_no_lock() {
    let leases = MemoryLeases::builder(Database::new()).open().await;
    let locks = Locks::new(Floorless(leases.unwrap()));
    let guard = locks.acquire("a", LONG).await.unwrap();
    let next = FencingToken::new(guard.token().as_i64() + 1);
    guard.release().await.unwrap();
    locks.raise_floor("a", next);
    let refused = locks.acquire("a", LONG).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)), "{refused}");
    // What the store had granted was given back.
    drop(locks.acquire("a", LONG).await.unwrap());
}

#[test]
fn a_guard_that_is_dropped_outside_its_runtime_frees_its_lock() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let locks = runtime.block_on(async {
        let leases = MemoryLeases::builder(Database::new()).open().await;
        Locks::builder(leases.unwrap()).lease(LONG).build()
    });
    let guard = runtime.block_on(locks.acquire("a", LONG)).unwrap();
    drop(guard);
    let next = runtime.block_on(locks.acquire("a", LONG)).unwrap();
    // At its end as well: nothing blocks, and nothing panics.
    drop(runtime);
    drop(next);
}

/// On a runtime of its own: the test's has one thread, and the work does not yield it.
#[test]
fn work_that_does_not_yield_does_not_keep_its_lease_from_being_renewed() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (store, guard): (Arc<Slow>, Guard) = runtime.block_on(async {
        let store = Slow::new(TokioClock::default(), AT_ONCE, AT_ONCE).await;
        let locks = Locks::builder(Arc::clone(&store)).lease(LEASE / 5).build();
        let guard = locks.acquire("a", LONG).await.unwrap();
        (store, guard)
    });
    let worked = runtime.block_on(async {
        let work = tokio::spawn(async move {
            let outcome = guard.run(async move {
                // Keeps its thread until the store has renewed, for a minute of real time at most. Nothing
                // is awaited here.
                let mut looks = 0..6_000;
                let renewed = looks.any(|_| {
                    std::thread::sleep(Duration::from_millis(10));
                    store.renewals.load(Ordering::SeqCst) > 0
                });
                tokio::task::yield_now().await;
                renewed
            });
            outcome.await
        });
        work.await.unwrap()
    });
    assert!(worked.unwrap(), "nothing was renewed meanwhile");
}
