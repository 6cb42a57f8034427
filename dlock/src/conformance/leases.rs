//! Leases: one owner at a time, and tokens that grow.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{Fixture, LONG, acquire, is_held, token};
use crate::{
    FencingToken,
    store::{Acquired, Claim, Holding, LeaseStore as _},
};

const ENDED: Duration = Duration::ZERO;

pub async fn a_lock_has_one_owner<F: Fixture>(f: &F) {
    let store = f.leases();
    token(&store, "a", "one", LONG).await;
    let other = f.other_process().await;
    for store in [&store, &other] {
        match acquire(store, "a", "other", LONG).await {
            Acquired::Held { remaining } => {
                assert!(!remaining.is_zero() && remaining <= LONG, "{remaining:?}");
            }
            granted @ Acquired::Granted(_) => panic!("two owners: {granted:?}"),
        }
    }
}

pub async fn of_many_that_ask_at_once_one_is_granted<F: Fixture>(f: &F) {
    let stores = [f.leases(), f.other_process().await];
    for round in ["a", "b", "c"] {
        let mut asking = JoinSet::new();
        for n in 0..24 {
            let store = stores[n % 2].clone();
            asking.spawn(async move { acquire(&store, round, &n.to_string(), LONG).await });
        }
        let answers = asking.join_all().await.into_iter();
        let granted = answers.filter(|answer| matches!(answer, Acquired::Granted(_)));
        assert_eq!(granted.count(), 1);
    }
}

pub async fn locks_with_other_names_are_other_locks<F: Fixture>(f: &F) {
    let store = f.leases();
    for name in ["a", "A", "a ", "é", "a/b", "a:b", "%", &"x".repeat(255)] {
        token(&store, name, "one", LONG).await;
    }
}

pub async fn a_released_lock_is_granted_with_a_larger_token<F: Fixture>(f: &F) {
    let store = f.leases();
    let first = token(&store, "a", "one", LONG).await;
    assert!(first > FencingToken::ZERO);
    let held = Holding {
        name: "a",
        owner: "one",
    };
    store.release(held).await.unwrap();
    let second = token(&f.other_process().await, "a", "other", LONG).await;
    assert!(first < second, "{first} {second}");
}

pub async fn an_ended_lease_is_granted_with_a_larger_token<F: Fixture>(f: &F) {
    let first = token(&f.leases(), "a", "one", ENDED).await;
    let second = token(&f.other_process().await, "a", "other", LONG).await;
    assert!(first < second, "{first} {second}");
}

pub async fn tokens_grow_however_leases_end<F: Fixture>(f: &F) {
    let stores = [f.leases(), f.other_process().await];
    let mut last = FencingToken::ZERO;
    for n in 0..100 {
        let (store, owner) = (&stores[n % 2], n.to_string());
        let ends = n % 3 == 0;
        let granted = token(store, "a", &owner, if ends { ENDED } else { LONG }).await;
        assert!(last < granted, "round {n}: {last} {granted}");
        last = granted;
        if !ends {
            let owner = &*owner;
            store.release(Holding { name: "a", owner }).await.unwrap();
        }
    }
}

pub async fn asking_again_keeps_the_lock_and_its_token<F: Fixture>(f: &F) {
    let store = f.leases();
    let first = token(&store, "a", "one", ENDED).await;
    // Nobody had it in between.
    let again = token(&store, "a", "one", LONG).await;
    let once_more = token(&f.other_process().await, "a", "one", LONG).await;
    assert_eq!((first, first), (again, once_more));
    assert!(is_held(&store, "a").await);
}

pub async fn a_token_is_above_the_floor_and_so_are_those_after_it<F: Fixture>(f: &F) {
    let store = f.leases();
    let first = token(&store, "a", "one", LONG).await;
    let floor = FencingToken::new(first.as_i64() + 4_000_000_000_000_000);
    let claim = |owner| Claim {
        holding: Holding { name: "a", owner },
        lease: ENDED,
        above: floor,
    };
    // The owner's own token is too old as well.
    for owner in ["one", "other"] {
        match store.acquire(claim(owner)).await.unwrap() {
            Acquired::Granted(token) => assert!(token > floor, "{owner}: {token} {floor}"),
            held @ Acquired::Held { .. } => panic!("{owner}: {held:?}"),
        }
    }
    let later = token(&f.other_process().await, "a", "third", LONG).await;
    assert!(later > floor, "{later} {floor}");
}

pub async fn a_renewed_lease_lasts<F: Fixture>(f: &F) {
    let store = f.leases();
    let short = Duration::from_secs(30);
    token(&store, "a", "one", short).await;
    let held = Holding {
        name: "a",
        owner: "one",
    };
    assert_eq!(store.renew(&[held], LONG).await.unwrap(), [true]);
    match acquire(&store, "a", "other", LONG).await {
        Acquired::Held { remaining } => assert!(remaining > short, "{remaining:?}"),
        granted @ Acquired::Granted(_) => panic!("two owners: {granted:?}"),
    }
}

pub async fn an_ended_lease_is_not_renewed<F: Fixture>(f: &F) {
    let store = f.leases();
    token(&store, "a", "one", ENDED).await;
    let held = Holding {
        name: "a",
        owner: "one",
    };
    assert_eq!(store.renew(&[held], LONG).await.unwrap(), [false]);
    token(&store, "a", "other", LONG).await;
}

pub async fn a_renewal_tells_of_each_lease<F: Fixture>(f: &F) {
    let store = f.leases();
    token(&store, "held", "one", LONG).await;
    token(&store, "ended", "one", ENDED).await;
    token(&store, "taken", "other", LONG).await;
    token(&store, "also held", "one", LONG).await;
    let held = ["ended", "held", "unknown", "taken", "also held"];
    let held = held.map(|name| Holding { name, owner: "one" });
    let renewed = store.renew(&held, LONG).await.unwrap();
    assert_eq!(renewed, [false, true, false, false, true]);
    assert_eq!(store.renew(&[], LONG).await.unwrap(), [false; 0]);
}

pub async fn a_late_renewal_leaves_the_successor_alone<F: Fixture>(f: &F) {
    let store = f.leases();
    token(&store, "a", "one", ENDED).await;
    token(&store, "a", "successor", ENDED).await;
    let held = Holding {
        name: "a",
        owner: "one",
    };
    assert_eq!(store.renew(&[held], LONG).await.unwrap(), [false]);
    assert!(!is_held(&store, "a").await, "its lease was extended");
}

pub async fn a_late_release_leaves_the_successor_alone<F: Fixture>(f: &F) {
    let store = f.leases();
    token(&store, "a", "one", ENDED).await;
    token(&store, "a", "successor", LONG).await;
    let held = Holding {
        name: "a",
        owner: "one",
    };
    store.release(held).await.unwrap();
    assert!(is_held(&store, "a").await, "its lock was freed");
}

pub async fn a_release_may_be_repeated<F: Fixture>(f: &F) {
    let store = f.leases();
    let held = Holding {
        name: "a",
        owner: "one",
    };
    store.release(held).await.unwrap();
    token(&store, "a", "one", LONG).await;
    for _ in 0..2 {
        store.release(held).await.unwrap();
        assert!(!is_held(&store, "a").await);
    }
}
