//! Several aggregates at once.

use std::sync::Arc;

use mainstay_database::Transactions as _;
use tokio::sync::Barrier;

use super::{
    Fixture,
    accounts::{Account, AccountEvent, Kept, appended, loaded, moved, opened},
    begin, commit, in_time,
};
use crate::{Aggregate, Error, EventStore as _, Loaded, store::RebuildStore as _};

/// Loads aggregates in a transaction of its own.
async fn loaded_batch<F: Fixture, A: Aggregate>(f: &F, ids: &[&str]) -> Vec<Loaded<A>> {
    let mut tx = begin(f).await;
    f.store().load_batch(&mut tx, ids).await.unwrap()
}

pub async fn a_batch_is_loaded_as_each_aggregate_alone<F: Fixture>(f: &F) {
    // None of 3, one and two behind a snapshot, and one that does not exist.
    for (id, count) in [("b", 2), ("a", 4), ("\"c\"", 8)] {
        for cents in 0..count {
            appended::<F, Kept>(f, id, [moved(cents)]).await;
            appended::<F, Account>(f, id, [moved(-cents)]).await;
        }
    }
    let ids = ["\"c\"", "missing", "a", "b", "a"];
    let (kept, accounts) = (
        loaded_batch::<F, Kept>(f, &ids).await,
        loaded_batch::<F, Account>(f, &ids).await,
    );
    for (nth, id) in ids.into_iter().enumerate() {
        let alone = loaded::<F, Kept>(f, id).await;
        let (one, other) = (&kept[nth], &alone);
        assert_eq!((&**one, one.version()), (&**other, other.version()), "{id}");
        assert_eq!(one.id(), id);
        let alone = loaded::<F, Account>(f, id).await;
        assert_eq!(accounts[nth].version(), alone.version(), "{id}");
        assert_eq!(*accounts[nth], *alone, "{id}");
    }
    assert!(loaded_batch::<F, Kept>(f, &[]).await.is_empty());
}

pub async fn a_batch_is_appended_with_the_snapshots_that_are_due<F: Fixture>(f: &F) {
    let ids = ["z", "b", "a", "new"];
    for id in &ids[..3] {
        appended::<F, Kept>(f, id, [opened("Ada \"λ\" \u{0}")]).await;
    }
    for ends in ["rolled back", "committed"] {
        let mut tx = begin(f).await;
        let all: Vec<Loaded<Kept>> = f.store().load_batch(&mut tx, &ids).await.unwrap();
        // One event, none, several, and the first ones.
        let counts = [1, 0, 5, 3];
        let change =
            |(loaded, count): (Loaded<Kept>, i64)| (loaded, (0..count).map(moved).collect());
        let mut changes: Vec<(_, Vec<AccountEvent>)> =
            all.into_iter().zip(counts).map(change).collect();
        let appending = f.store().append_batch(&mut tx, &mut changes);
        appending.await.unwrap();
        if ends == "rolled back" {
            drop(tx);
            assert_eq!(loaded::<F, Kept>(f, "a").await.version(), 1);
            continue;
        }
        commit(f, tx).await;
        for ((written, _), version) in changes.iter().zip([2, 1, 6, 3]) {
            let again = loaded::<F, Kept>(f, written.id()).await;
            assert_eq!((written.version(), again.version()), (version, version));
            assert_eq!((&**written, written.snapshot), (&*again, again.snapshot));
            assert_eq!(again.snapshot, if version < 3 { 0 } else { version });
        }
    }
}

pub async fn a_conflict_in_a_batch_keeps_no_other_aggregate_from_being_written<F: Fixture>(f: &F) {
    let ids = ["c", "b", "a"];
    for id in ids {
        appended::<F, Account>(f, id, [opened("ada")]).await;
    }
    for count in [1, 3] {
        let all = loaded_batch::<F, Account>(f, &ids).await;
        let version = all[1].version();
        appended::<F, Account>(f, "b", [moved(1_000)]).await;
        let mut tx = begin(f).await;
        let change = |loaded: Loaded<Account>| (loaded, (0..count).map(moved).collect());
        let mut changes: Vec<(_, Vec<AccountEvent>)> = all.into_iter().map(change).collect();
        let appending = f.store().append_batch(&mut tx, &mut changes);
        let refused = appending.await.unwrap_err();
        let Error::Conflict {
            stream,
            expected,
            actual,
        } = &refused
        else {
            panic!("{refused}");
        };
        assert_eq!(
            (&**stream, *expected, *actual),
            ("account/b", version, version + 1)
        );
        assert_eq!(changes[1].0.version(), version, "as it was");
        F::write(&mut tx, "the transaction goes on").await.unwrap();
        commit(f, tx).await;
        for (nth, id) in ids.into_iter().enumerate().filter(|(nth, _)| *nth != 1) {
            assert_eq!(
                changes[nth].0.version(),
                loaded::<F, Account>(f, id).await.version()
            );
        }
        assert_eq!(loaded::<F, Account>(f, "b").await.version(), version + 1);
    }
    let versions = ids.map(async |id| loaded::<F, Account>(f, id).await.version());
    let [c, b, a] = versions;
    assert_eq!([c.await, b.await, a.await], [5, 3, 5]);
}

pub async fn an_aggregate_that_is_in_a_batch_twice_is_refused<F: Fixture>(f: &F) {
    appended::<F, Account>(f, "1", [opened("ada")]).await;
    let all = loaded_batch::<F, Account>(f, &["1", "2", "1"]).await;
    let mut changes: Vec<_> = all.into_iter().map(|one| (one, vec![moved(1)])).collect();
    let mut tx = begin(f).await;
    let refused = f.store().append_batch(&mut tx, &mut changes).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, Error::Twice { stream } if stream == "account/1"),
        "{refused}"
    );
    assert!(!refused.is_retryable(), "{refused}");
    commit(f, tx).await;
    for (id, version) in [("1", 1), ("2", 0)] {
        assert_eq!(
            loaded::<F, Account>(f, id).await.version(),
            version,
            "nothing was written"
        );
    }
}

pub async fn of_concurrent_batches_one_wins_each_aggregate_and_none_is_a_victim<F: Fixture>(f: &F) {
    const APPENDERS: usize = 4;
    let ids = ["a", "b", "c", "d", "e", "f"];
    for round in 1..=8 {
        let barrier = Arc::new(Barrier::new(APPENDERS));
        let mut appending = Vec::new();
        for nth in 0..APPENDERS {
            let mut named = ids;
            named.rotate_left(nth);
            if nth % 2 == 0 {
                named.reverse();
            }
            let all = loaded_batch::<F, Account>(f, &named).await;
            let (store, barrier) = (f.store().clone(), Arc::clone(&barrier));
            appending.push(tokio::spawn(async move {
                let mut changes: Vec<_> =
                    all.into_iter().map(|one| (one, vec![moved(1)])).collect();
                barrier.wait().await;
                let mut tx = store.database().begin().await.unwrap();
                match store.append_batch(&mut tx, &mut changes).await {
                    Ok(()) => store.database().commit(tx).await.unwrap(),
                    Err(Error::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }));
        }
        for appending in appending {
            in_time(appending).await.unwrap();
        }
        for one in loaded_batch::<F, Account>(f, &ids).await {
            assert_eq!(one.version(), round, "{}", one.id());
        }
    }
}
