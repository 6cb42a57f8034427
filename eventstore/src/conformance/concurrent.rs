//! Transactions that append at once.

use std::sync::Arc;

use futures_util::future::join_all;
use mainstay_database::Transactions as _;
use tokio::sync::Barrier;

use super::{
    Fixture, TransactionOf,
    accounts::{Account, appended, loaded, moved, opened},
    begin, commit, in_time,
};
use crate::{
    Error, EventStore as _, Loaded,
    store::{RebuildStore, SnapshotStore},
};

/// Appends `count` events behind what was loaded, in a transaction of its own.
async fn append<S: RebuildStore + SnapshotStore>(
    store: S,
    mut account: Loaded<Account>,
    count: i64,
) -> Result<u64, Error> {
    let mut tx = store.database().begin().await?;
    let id = account.id().to_owned();
    let appending = store.append(&mut tx, &id, &mut account, (0..count).map(moved));
    appending.await?;
    store.database().commit(tx).await?;
    Ok(account.version())
}

pub async fn of_many_concurrent_appenders_one_wins<F: Fixture>(f: &F) {
    const APPENDERS: usize = 8;
    for round in 0..12 {
        let id = round.to_string();
        appended::<F, Account>(f, &id, [opened("ada")]).await;
        let mut all = Vec::new();
        for _ in 0..APPENDERS {
            all.push(loaded::<F, Account>(f, &id).await);
        }
        let barrier = Arc::new(Barrier::new(APPENDERS));
        let appending = all.into_iter().enumerate().map(|(nth, account)| {
            let (store, barrier) = (f.store().clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                append(store, account, i64::try_from(nth % 3).unwrap() + 1).await
            })
        });
        let outcomes = in_time(join_all(appending)).await;
        let mut won = Vec::new();
        for outcome in outcomes {
            match outcome.unwrap() {
                Ok(version) => won.push(version),
                Err(Error::Conflict { expected: 1, .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let account = loaded::<F, Account>(f, &id).await;
        assert_eq!(
            won,
            [account.version()],
            "one wins, and its events are there"
        );
    }
}

/// The first one has appended one event and is still open, while a later one appends `count`.
async fn behind_the_first<F: Fixture>(
    f: &F,
    id: &str,
    count: i64,
    end: impl AsyncFnOnce(TransactionOf<F>),
) -> Result<u64, Error> {
    let mut first = appended::<F, Account>(f, id, [opened("ada")]).await;
    let second = loaded::<F, Account>(f, id).await;
    let mut tx = begin(f).await;
    let appending = f.store().append(&mut tx, id, &mut first, [moved(1_000)]);
    appending.await.unwrap();
    let second = tokio::spawn(append(f.store().clone(), second, count));
    f.until_one_waits().await;
    assert!(!second.is_finished(), "nobody knows yet who wins");
    end(tx).await;
    in_time(second).await.unwrap()
}

pub async fn a_later_appender_waits_and_is_refused_if_the_first_one_commits<F: Fixture>(f: &F) {
    let outcome = behind_the_first(f, "1", 1, async |tx| commit(f, tx).await).await;
    assert!(
        matches!(
            outcome,
            Err(Error::Conflict {
                expected: 1,
                actual: 2,
                ..
            })
        ),
        "{outcome:?}"
    );
    assert_eq!(loaded::<F, Account>(f, "1").await.0.cents, 1_000);
}

pub async fn a_later_appender_waits_and_goes_on_if_the_first_one_rolls_back<F: Fixture>(f: &F) {
    for count in [1, 3] {
        let id = count.to_string();
        let outcome = behind_the_first(f, &id, count, async |tx| drop(tx)).await;
        let wanted = 1 + u64::try_from(count).unwrap();
        assert_eq!(outcome.unwrap(), wanted);
        let account = loaded::<F, Account>(f, &id).await;
        assert_eq!(account.version(), wanted);
        assert!(account.0.cents < 1_000);
    }
}

pub async fn a_batch_behind_a_commit_in_progress_is_written_whole_or_not_at_all<F: Fixture>(f: &F) {
    // The first one writes one event: the second and third of the batch meet nobody.
    let outcome = behind_the_first(f, "1", 3, async |tx| commit(f, tx).await).await;
    assert!(
        matches!(outcome, Err(Error::Conflict { .. })),
        "{outcome:?}"
    );
    let account = loaded::<F, Account>(f, "1").await;
    assert_eq!((account.version(), account.0.cents), (2, 1_000));
}
