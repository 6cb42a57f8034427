//! Guards: renewed while they are held, over when their lease is, and given back however they end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mainstay_database::Transactions as _;

use super::{
    Fixture, LONG, RENEWED, SHORT,
    faulty::{Call, Faulty},
    is_held, quick, token, until,
};
use crate::{Error, Fences as _, FencingToken};

pub async fn a_guard_is_renewed_for_as_long_as_it_is_held<F: Fixture>(f: &F) {
    let (store, other) = (Faulty::new(f.leases()), f.other_process().await);
    let locks = quick(Arc::clone(&store)).lease(RENEWED).build();
    let guards = [
        locks.acquire("a", LONG).await.unwrap(),
        locks.acquire("b", LONG).await.unwrap(),
    ];
    let renewals = store.calls(Call::Renew);
    // A lease without renewals would have ended.
    until("it is renewed four times", async || {
        store.calls(Call::Renew) >= renewals + 4
    })
    .await;
    assert!(is_held(&other, "a").await && is_held(&other, "b").await);
    for guard in guards {
        assert!(guard.is_held());
        guard.release().await.unwrap();
    }
}

pub async fn a_try_answers_at_once<F: Fixture>(f: &F) {
    let locks = quick(f.leases()).lease(LONG).build();
    let guard = locks.try_acquire("a").await.unwrap().unwrap();
    assert_eq!(guard.name(), "a");
    assert!(locks.try_acquire("a").await.unwrap().is_none());
    let other = quick(f.other_process().await).lease(LONG).build();
    assert!(other.try_acquire("a").await.unwrap().is_none());
    guard.release().await.unwrap();
    let next = other.try_acquire("a").await.unwrap().unwrap();
    next.release().await.unwrap();
}

pub async fn a_wait_ends_with_the_lock_or_at_its_deadline<F: Fixture>(f: &F) {
    let locks = quick(f.leases()).lease(LONG).build();
    let guard = locks.acquire("a", LONG).await.unwrap();
    let at_most = Duration::from_secs(2);
    match locks.acquire("a", at_most).await {
        Err(Error::Held { name, waited }) => assert_eq!((&*name, waited), ("a", at_most)),
        other => panic!("{other:?}"),
    }
    let waiting = locks.acquire("a", LONG);
    let (next, released) = tokio::join!(waiting, guard.release());
    released.unwrap();
    next.unwrap().release().await.unwrap();
    assert!(locks.acquire("a", Duration::ZERO).await.unwrap().is_held());
}

pub async fn a_released_or_dropped_guard_frees_its_lock<F: Fixture>(f: &F) {
    let (locks, other) = (
        quick(f.leases()).lease(LONG).build(),
        f.other_process().await,
    );
    let guard = locks.acquire("a", LONG).await.unwrap();
    guard.release().await.unwrap();
    assert!(!is_held(&other, "a").await);
    drop(locks.acquire("a", LONG).await.unwrap());
    until("it is given back", async || !is_held(&other, "a").await).await;
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub async fn work_is_dropped_when_its_lease_is_lost<F: Fixture>(f: &F) {
    let (store, dropped) = (Faulty::new(f.leases()), Arc::new(AtomicBool::new(false)));
    let locks = quick(Arc::clone(&store)).lease(SHORT).build();
    let guard = locks.acquire("a", LONG).await.unwrap();
    store.cut(Call::Renew, true);
    let work = Dropped(Arc::clone(&dropped));
    let ended = guard.run(async {
        let _work = work;
        std::future::pending::<()>().await;
    });
    let ended = ended.await;
    assert!(matches!(ended, Err(Error::Lost { .. })), "{ended:?}");
    assert!(dropped.load(Ordering::SeqCst) && !guard.is_held());
    guard.lost().await;
    // Nor is other work begun.
    let polled = guard.run(async { panic!("polled after the lease had ended") });
    assert!(matches!(polled.await, Err(Error::Lost { .. })));
}

pub async fn a_lease_that_was_lost_stays_lost<F: Fixture>(f: &F) {
    let store = Faulty::new(f.leases());
    let locks = quick(Arc::clone(&store)).lease(RENEWED).build();
    let guard = locks.acquire("a", LONG).await.unwrap();
    store.cut(Call::Renew, true);
    guard.lost().await;
    store.cut(Call::Renew, false);
    let (other, renewals) = (f.other_process().await, store.calls(Call::Renew));
    let next = locks.acquire("b", LONG).await.unwrap();
    until("the renewals go on", async || {
        assert!(!guard.is_held());
        store.calls(Call::Renew) > renewals + 3
    })
    .await;
    token(&other, "a", "successor", LONG).await;
    assert!(next.is_held());
    // The successor is left alone.
    drop(guard.release().await);
    assert!(is_held(&other, "a").await);
}

pub async fn a_lost_answer_to_an_acquisition_costs_nothing<F: Fixture>(f: &F) {
    let (store, other) = (Faulty::new(f.leases()), f.other_process().await);
    let locks = quick(Arc::clone(&store)).lease(LONG).build();
    store.lose_answers(Call::Acquire, 2);
    // Its own lock, taken by the first request, is not in its way.
    let guard = locks.acquire("a", LONG).await.unwrap();
    assert_eq!(store.calls(Call::Acquire), 3);
    assert!(is_held(&other, "a").await);
    guard.release().await.unwrap();
    assert!(!is_held(&other, "a").await);
}

pub async fn a_lost_answer_to_a_release_frees_the_lock_all_the_same<F: Fixture>(f: &F) {
    let (store, other) = (Faulty::new(f.leases()), f.other_process().await);
    let locks = quick(Arc::clone(&store)).lease(LONG).build();
    for answer_is_lost in [true, false] {
        let guard = locks.acquire("a", LONG).await.unwrap();
        let releases = store.calls(Call::Release);
        if answer_is_lost {
            store.lose_answers(Call::Release, 1);
        } else {
            store.cut(Call::Release, true);
        }
        assert!(guard.release().await.is_err());
        store.cut(Call::Release, false);
        until("it is repeated", async || {
            store.calls(Call::Release) >= releases + 2
        })
        .await;
        assert!(!is_held(&other, "a").await);
    }
}

pub async fn an_acquisition_that_is_given_up_frees_the_lock<F: Fixture>(f: &F) {
    let (store, other) = (Faulty::new(f.leases()), f.other_process().await);
    let locks = quick(Arc::clone(&store)).lease(LONG).build();
    // The store grants it, and nobody hears of that.
    store.lose_answers(Call::Acquire, usize::MAX);
    assert!(locks.try_acquire("a").await.is_err());
    let calls = store.calls(Call::Acquire);
    let waiting = async { drop(locks.acquire("b", LONG).await) };
    let asked = until("it was asked for", async || {
        store.calls(Call::Acquire) > calls
    });
    tokio::select! {
        () = waiting => panic!("no answer came"),
        () = asked => {}
    }
    for name in ["a", "b"] {
        until("it is given back", async || !is_held(&other, name).await).await;
    }
}

pub async fn a_refused_token_is_followed_by_a_larger_one<F: Fixture>(f: &F) {
    let locks = quick(f.leases()).lease(LONG).build();
    let guard = locks.acquire("a", LONG).await.unwrap();
    // As after a store that lost its data and granted small tokens again.
    let seen = FencingToken::new(guard.token().as_i64() + 4_000_000_000_000_000);
    let mut tx = f.database().begin().await.unwrap();
    f.fences().check(&mut tx, "a", seen).await.unwrap();
    f.database().commit(tx).await.unwrap();

    let mut tx = f.database().begin().await.unwrap();
    let refused = guard.check(&f.fences(), &mut tx).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    drop(tx);
    assert!(!guard.is_held());
    guard.release().await.unwrap();

    let guard = locks.acquire("a", LONG).await.unwrap();
    assert!(guard.token() > seen, "{} {seen}", guard.token());
    let mut tx = f.database().begin().await.unwrap();
    guard.check(&f.fences(), &mut tx).await.unwrap();
    f.database().commit(tx).await.unwrap();
}
