//! Leaders: one at a time, replaced when they go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_clock::Backoff;
use tokio::sync::{Semaphore, oneshot};

use super::{
    Fixture, LONG, SHORT,
    faulty::{Call, Faulty},
    is_held, quick, until,
};
use crate::{Error, Guard};

/// Who leads, in turns.
#[derive(Clone, Default)]
struct Terms {
    leading: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
}

/// One leader's term, however it ends.
struct Term(Terms);

impl Terms {
    fn begin(&self) -> Term {
        let others = self.leading.fetch_add(1, Ordering::SeqCst);
        assert_eq!(others, 0, "two lead at once");
        self.begun.fetch_add(1, Ordering::SeqCst);
        Term(self.clone())
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.0.leading.fetch_sub(1, Ordering::SeqCst);
    }
}

pub async fn of_many_candidates_one_leads_at_a_time<F: Fixture>(f: &F) {
    let (terms, more) = (Terms::default(), Arc::new(Semaphore::new(0)));
    let mut candidates = tokio::task::JoinSet::new();
    for n in 0..4 {
        let store = if n % 2 == 0 {
            f.leases()
        } else {
            f.other_process().await
        };
        let locks = quick(store).lease(LONG).build();
        let (terms, more) = (terms.clone(), Arc::clone(&more));
        let work = move |guard: Guard| {
            let (terms, more) = (terms.clone(), Arc::clone(&more));
            async move {
                let term = terms.begin();
                more.acquire().await.unwrap().forget();
                drop((term, guard));
                Ok::<_, Error>(())
            }
        };
        candidates.spawn(locks.lead("a", work).run_until(std::future::pending()));
    }
    for term in 1..=4 {
        until("somebody leads", async || terms.begun() == term).await;
        more.add_permits(1);
    }
    for ended in candidates.join_all().await {
        ended.unwrap();
    }
    assert_eq!(terms.begun(), 4);
}

pub async fn a_leader_that_loses_its_lease_is_replaced<F: Fixture>(f: &F) {
    let terms = Terms::default();
    let stores = [
        Faulty::new(f.leases()),
        Faulty::new(f.other_process().await),
    ];
    let lead = |store: &Arc<Faulty<F::Leases>>| {
        let (locks, terms) = (quick(Arc::clone(store)).lease(SHORT).build(), terms.clone());
        let work = move |_guard| {
            let term = terms.begin();
            async move {
                let _term = term;
                std::future::pending::<Result<(), Error>>().await
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let leader = locks.lead("a", work);
        let leading = tokio::spawn(leader.run_until(async { drop(stopped.await) }));
        (stop, leading)
    };
    let first = lead(&stores[0]);
    until("the first leads", async || terms.begun() == 1).await;
    let second = lead(&stores[1]);
    // It is cut off from the store, its lease ends, and so does its work.
    for call in [Call::Acquire, Call::Renew, Call::Release] {
        stores[0].cut(call, true);
    }
    until("the second leads", async || terms.begun() == 2).await;
    for (stop, leading) in [first, second] {
        drop(stop);
        leading.await.unwrap().unwrap();
    }
}

pub async fn a_leader_whose_work_fails_lets_others_lead<F: Fixture>(f: &F) {
    let terms = Terms::default();
    let locks = quick(f.leases()).lease(LONG).build();
    let (counted, tries) = (terms.clone(), Arc::new(AtomicUsize::new(0)));
    let again = Arc::clone(&tries);
    let work = move |_guard| {
        let (terms, tries) = (counted.clone(), Arc::clone(&again));
        async move {
            let _term = terms.begin();
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => Err("the first tries fail"),
                _ => Ok(()),
            }
        }
    };
    let pause = Duration::from_millis(10);
    let leader = locks.lead("a", work).backoff(Backoff::new(pause, pause));
    leader.run_until(std::future::pending()).await.unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    assert!(!is_held(&f.other_process().await, "a").await);
}

pub async fn a_leader_that_releases_its_guard_comes_to_its_end<F: Fixture>(f: &F) {
    let (locks, other) = (
        quick(f.leases()).lease(LONG).build(),
        Arc::new(f.other_process().await),
    );
    let terms = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&terms);
    let work = move |guard: Guard| {
        let (counted, other) = (Arc::clone(&counted), Arc::clone(&other));
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
            guard.release().await?;
            assert!(!is_held(&*other, "a").await);
            Ok::<_, Error>(())
        }
    };
    let leader = locks.lead("a", work);
    leader.run_until(std::future::pending()).await.unwrap();
    assert_eq!(terms.load(Ordering::SeqCst), 1);
}

pub async fn a_shutdown_ends_the_work_and_frees_the_lock<F: Fixture>(f: &F) {
    let terms = Terms::default();
    let locks = quick(f.leases()).lease(LONG).build();
    let counted = terms.clone();
    let work = move |_guard| {
        let term = counted.begin();
        async move {
            let _term = term;
            std::future::pending::<Result<(), Error>>().await
        }
    };
    let leads = terms.clone();
    let shutdown = async move {
        while leads.begun() == 0 {
            tokio::task::yield_now().await;
        }
    };
    locks.lead("a", work).run_until(shutdown).await.unwrap();
    assert_eq!(terms.leading.load(Ordering::SeqCst), 0);
    assert!(!is_held(&f.other_process().await, "a").await);
    // So does a candidate that waits.
    let guard = locks.acquire("a", LONG).await.unwrap();
    let work = |_guard| async { Err::<(), _>("two lead at once") };
    let waiting = locks.lead("a", work);
    waiting.run_until(async {}).await.unwrap();
    guard.release().await.unwrap();
}
