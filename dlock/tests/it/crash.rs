//! Every await that is cancelled, and every call at which a process dies, on every store.

use std::{sync::Arc, time::Duration};

use mainstay_database::Transactions as _;
use mainstay_dlock::{
    Error, Fences as _, FencingToken, Locks,
    conformance::Fixture,
    store::{Acquired, Claim, Holding, LeaseStore},
};
use mainstay_ports::Ports;
use mainstay_testkit::crash::{Points, Reached, after_polls, at_every_point};

/// A lock that is free before this has passed was given back.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(300);

/// Waits until the lock is free; answers with the token that is granted then.
async fn successor(store: &impl LeaseStore) -> FencingToken {
    let holding = Holding {
        name: "a",
        owner: "successor",
    };
    let claim = Claim {
        holding,
        lease: LONG,
        above: FencingToken::ZERO,
    };
    // Asks again and again: a store tells nobody that a lock is free.
    let trying = async {
        loop {
            match store.acquire(claim).await.unwrap() {
                Acquired::Granted(token) => return token,
                Acquired::Held { .. } => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    };
    let granted = tokio::time::timeout(Duration::from_secs(60), trying).await;
    store.release(holding).await.unwrap();
    granted.expect("the lock is not given back")
}

/// A caller that gives up at an await of acquire, run or release leaves no lock behind, though its lease would last.
async fn gives_up_at_every_await<F: Fixture>(f: &F, backend: &str) {
    let (locks, other) = (
        Locks::builder(f.leases()).lease(LONG).build(),
        f.other_process().await,
    );
    let tell = |what: &str, awaits| println!("{backend}: {what}: struck at {awaits} awaits");

    let what = format!("{backend}: try_acquire");
    let awaits = at_every_point(&what, async |polls| {
        let acquired = after_polls(polls, locks.try_acquire("a")).await;
        let ended = Reached::of(acquired.as_ref());
        drop(acquired);
        successor(&other).await;
        ended
    });
    tell("try_acquire", awaits.await);

    let what = format!("{backend}: acquire");
    let awaits = at_every_point(&what, async |polls| {
        let acquired = after_polls(polls, locks.acquire("a", LONG)).await;
        let ended = Reached::of(acquired.as_ref());
        drop(acquired);
        successor(&other).await;
        ended
    });
    tell("acquire", awaits.await);

    let what = format!("{backend}: run");
    let awaits = at_every_point(&what, async |polls| {
        let guard = locks.acquire("a", LONG).await.unwrap();
        let work = guard.run(write(f, guard.token()));
        let worked = after_polls(polls, work).await;
        assert!(guard.is_held());
        guard.release().await.unwrap();
        successor(&other).await;
        Reached::of(worked.as_ref())
    });
    tell("run", awaits.await);

    let what = format!("{backend}: release");
    let awaits = at_every_point(&what, async |polls| {
        let guard = locks.acquire("a", LONG).await.unwrap();
        let released = after_polls(polls, guard.release()).await;
        successor(&other).await;
        Reached::of(released.as_ref())
    });
    tell("release", awaits.await);
}

async fn write<F: Fixture>(f: &F, token: FencingToken) -> Result<(), Error> {
    let mut tx = f.database().begin().await?;
    f.fences().check(&mut tx, "a", token).await?;
    f.database().commit(tx).await?;
    Ok(())
}

/// A process takes the lock, has it renewed, writes under it, gives it back, and takes it once more.
async fn life<F: Fixture>(f: &F, store: Arc<F::Leases>, points: &Arc<Points>) {
    let locks = Locks::builder(Ports::new(store, points)).lease(SHORT);
    let locks = locks.poll_interval(Duration::from_millis(20)).build();
    for _ in 0..2 {
        let guard = locks.acquire("a", LONG).await.unwrap();
        let renewals = || points.calls().get("renew").copied().unwrap_or_default();
        let before = renewals();
        let work = guard.run(async {
            // Looks again and again: the points count calls and tell nobody.
            while renewals() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            write(f, guard.token()).await
        });
        match work.await {
            Ok(Ok(())) | Err(Error::Lost { .. }) => drop(guard.release().await),
            other => panic!("{other:?}"),
        }
    }
}

/// Wherever a process dies, the lock is free when its lease has ended, and nothing that it had is accepted afterwards.
async fn dies_at_every_call<F: Fixture>(f: &F, backend: &str) {
    let (what, other) = (format!("{backend}: a life"), f.other_process().await);
    let points = at_every_point(&what, async |nth| {
        let points = Points::anywhere(nth);
        let before = successor(&other).await;
        let store = Arc::new(f.other_process().await);
        let lived = points.until_struck(life(f, store, &points)).await;
        let after = successor(&other).await;
        assert!(before < after, "{before} {after}");
        write(f, after).await.unwrap();
        let former = write(f, before).await;
        assert!(matches!(former, Err(Error::Fenced { .. })), "{former:?}");
        Reached::of(lived.as_ref())
    });
    println!("{what}: struck at {} points", points.await);
}

/// The tests on a store whose fixture may be missing.
macro_rules! tests {
    ($module:ident, $backend:literal, $condition:meta, $if_there:expr) => {
        #[cfg($condition)]
        mod $module {
            use crate::$module::fixture;

            #[tokio::test]
            async fn a_caller_that_gives_up_leaves_no_lock() {
                if let Some(f) = $if_there(fixture().await) {
                    super::gives_up_at_every_await(&f, $backend).await;
                }
            }

            #[tokio::test]
            async fn a_process_that_dies_leaves_a_lease_that_ends() {
                if let Some(f) = $if_there(fixture().await) {
                    super::dies_at_every_call(&f, $backend).await;
                }
            }
        }
    };
}

tests!(memory, "memory", feature = "memory", Some);
tests!(sqlite, "SQLite", feature = "sqlite", Some);
tests!(
    redis,
    "Redis",
    all(feature = "memory", feature = "redis"),
    std::convert::identity
);
tests!(
    postgres,
    "PostgreSQL",
    all(feature = "memory", feature = "postgres"),
    std::convert::identity
);
