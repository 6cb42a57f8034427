//! The contract of [`Transactions`] as tests that any database can run.
//!
//! Implement [`Fixture`] and write `mainstay_database::conformance!(fixture());` in a test module:
//! one named test per case. The cases wait on conditions, so they run on real and on paused time
//! alike.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]
#![expect(missing_docs, reason = "the cases are named after what they show")]

mod savepoints;

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;

use crate::{Error, Transactions};

pub use savepoints::*;

type ConnectionOf<F> = <<F as Fixture>::Transactions as Transactions>::Connection;

/// What a database brings to the suite: a table of numbers under numbered keys, empty at first.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    type Transactions: Transactions;

    fn transactions(&self) -> &Self::Transactions;

    /// Adds to the number under a key, which starts at zero; one statement.
    async fn add(
        &self,
        connection: &mut <Self::Transactions as Transactions>::Connection,
        key: u32,
        amount: i64,
    ) -> Result<(), Error>;

    /// All numbers, as the transaction sees them; one statement.
    async fn all(
        &self,
        connection: &mut <Self::Transactions as Transactions>::Connection,
    ) -> Result<BTreeMap<u32, i64>, Error>;

    /// All numbers, as a new client sees them, such as another process; one statement.
    async fn committed(&self) -> BTreeMap<u32, i64>;
}

/// Emits one `#[tokio::test]` per case for the fixture that the expression makes; with `if_there`,
/// for the fixture that it makes where the server is.
#[macro_export]
macro_rules! conformance {
    (if_there $fixture:expr) => {
        $crate::conformance!(@list $fixture);
    };
    ($fixture:expr) => {
        $crate::conformance!(@list ::std::future::ready(::std::option::Option::Some($fixture.await)));
    };
    (@list $fixture:expr) => {
        $crate::conformance!(@cases $fixture;
            a_commit_is_visible_to_everybody
            a_transaction_sees_its_own_writes_and_nobody_else_does
            a_commit_becomes_visible_at_once_and_whole
            a_dropped_transaction_is_rolled_back
            a_transaction_dropped_in_the_middle_of_a_statement_is_rolled_back
            a_dropped_transaction_lets_the_next_one_go_on
            a_commit_lets_the_next_one_go_on
            a_cancelled_begin_leaves_nothing_locked
            a_cancelled_commit_is_whole_or_nothing_and_leaves_nothing_locked
            concurrent_writers_serialise
            a_transaction_may_move_between_tasks
            an_empty_transaction_commits
            going_back_to_a_savepoint_undoes_only_what_came_after_it
            a_released_savepoint_keeps_what_was_written
            a_savepoint_that_is_not_set_is_refused
            a_transaction_goes_back_to_its_savepoint_from_the_middle_of_a_statement
        );
    };
    (@cases $fixture:expr; $($case:ident)*) => {
        $(#[tokio::test] async fn $case() {
            if let ::std::option::Option::Some(fixture) = $fixture.await {
                $crate::conformance::$case(::std::sync::Arc::new(fixture)).await;
            }
        })*
    };
}

const PATIENCE: Duration = Duration::from_secs(120);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come to an end"))
}

async fn begin<F: Fixture>(f: &F) -> <F::Transactions as Transactions>::Transaction {
    within("begin", f.transactions().begin()).await.unwrap()
}

async fn commit<F: Fixture>(f: &F, transaction: <F::Transactions as Transactions>::Transaction) {
    within("commit", f.transactions().commit(transaction))
        .await
        .unwrap();
}

async fn add<F: Fixture>(f: &F, connection: &mut ConnectionOf<F>, key: u32, amount: i64) {
    within("a statement", f.add(connection, key, amount))
        .await
        .unwrap();
}

/// Polls `future` up to `polls` times, lets other tasks run in between, and drops it.
async fn cancel_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// One transaction that adds one, run again until it commits.
async fn add_one<F: Fixture>(f: &F, key: u32) -> Result<(), Error> {
    loop {
        let attempt = async {
            let mut tx = f.transactions().begin().await?;
            f.add(&mut tx, key, 1).await?;
            f.transactions().commit(tx).await
        };
        match attempt.await {
            Err(Error::Conflict(_) | Error::Unavailable(_)) => {}
            result => return result,
        }
    }
}

pub async fn a_commit_is_visible_to_everybody<F: Fixture>(f: Arc<F>) {
    let mut tx = begin(&*f).await;
    add(&*f, &mut tx, 1, 5).await;
    add(&*f, &mut tx, 2, 7).await;
    commit(&*f, tx).await;
    assert_eq!(f.committed().await, BTreeMap::from([(1, 5), (2, 7)]));
    let mut next = begin(&*f).await;
    assert_eq!(
        f.all(&mut next).await.unwrap(),
        BTreeMap::from([(1, 5), (2, 7)])
    );
}

pub async fn a_transaction_sees_its_own_writes_and_nobody_else_does<F: Fixture>(f: Arc<F>) {
    let mut tx = begin(&*f).await;
    add(&*f, &mut tx, 1, 5).await;
    assert_eq!(f.all(&mut tx).await.unwrap(), BTreeMap::from([(1, 5)]));
    assert_eq!(f.committed().await, BTreeMap::new());
    commit(&*f, tx).await;
    assert_eq!(f.committed().await, BTreeMap::from([(1, 5)]));
}

pub async fn a_commit_becomes_visible_at_once_and_whole<F: Fixture>(f: Arc<F>) {
    let writer = tokio::spawn({
        let f = Arc::clone(&f);
        async move {
            for _ in 0..30 {
                let mut tx = begin(&*f).await;
                for key in 0..5 {
                    add(&*f, &mut tx, key, 1).await;
                }
                commit(&*f, tx).await;
            }
        }
    });
    let reading = async {
        loop {
            let seen = f.committed().await;
            let (first, count) = (seen.get(&0).copied(), seen.len());
            assert!(count == 0 || count == 5, "half a commit: {seen:?}");
            assert!(
                seen.values().all(|&value| Some(value) == first),
                "half a commit: {seen:?}"
            );
            if first == Some(30) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    within("the last commit", reading).await;
    writer.await.unwrap();
}

pub async fn a_dropped_transaction_is_rolled_back<F: Fixture>(f: Arc<F>) {
    let mut tx = begin(&*f).await;
    add(&*f, &mut tx, 1, 5).await;
    commit(&*f, tx).await;
    let mut tx = begin(&*f).await;
    add(&*f, &mut tx, 1, 1).await;
    add(&*f, &mut tx, 2, 1).await;
    drop(tx);
    let mut next = begin(&*f).await;
    assert_eq!(f.all(&mut next).await.unwrap(), BTreeMap::from([(1, 5)]));
    assert_eq!(f.committed().await, BTreeMap::from([(1, 5)]));
}

pub async fn a_transaction_dropped_in_the_middle_of_a_statement_is_rolled_back<F: Fixture>(
    f: Arc<F>,
) {
    for polls in 0..10 {
        let mut tx = begin(&*f).await;
        add(&*f, &mut tx, 1, 1).await;
        let _finished = cancel_after(polls, f.add(&mut tx, 2, 1)).await;
        drop(tx);
        let mut next = begin(&*f).await;
        assert_eq!(f.all(&mut next).await.unwrap(), BTreeMap::new());
    }
}

/// A transaction that needs a row of an open one, which ends with `end`.
async fn next_goes_on<F: Fixture, E>(
    f: Arc<F>,
    expected: i64,
    end: impl FnOnce(Arc<F>, <F::Transactions as Transactions>::Transaction) -> E,
) where
    E: Future<Output = ()>,
{
    let mut tx = begin(&*f).await;
    add(&*f, &mut tx, 1, 5).await;
    let next = tokio::spawn({
        let f = Arc::clone(&f);
        async move { add_one(&*f, 1).await }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!next.is_finished(), "it wrote over an open transaction");
    end(Arc::clone(&f), tx).await;
    within("the next transaction", next).await.unwrap().unwrap();
    assert_eq!(f.committed().await, BTreeMap::from([(1, expected)]));
}

pub async fn a_dropped_transaction_lets_the_next_one_go_on<F: Fixture>(f: Arc<F>) {
    next_goes_on(f, 1, |_, tx| async move { drop(tx) }).await;
}

pub async fn a_commit_lets_the_next_one_go_on<F: Fixture>(f: Arc<F>) {
    next_goes_on(f, 6, |f, tx| async move { commit(&*f, tx).await }).await;
}

pub async fn a_cancelled_begin_leaves_nothing_locked<F: Fixture>(f: Arc<F>) {
    for polls in 0..10 {
        drop(cancel_after(polls, f.transactions().begin()).await);
        let mut holder = begin(&*f).await;
        add(&*f, &mut holder, 1, 1).await;
        // The same while it may wait for another one.
        drop(cancel_after(polls, f.transactions().begin()).await);
        commit(&*f, holder).await;
        within("a write", add_one(&*f, 1)).await.unwrap();
    }
    assert_eq!(f.committed().await, BTreeMap::from([(1, 20)]));
}

pub async fn a_cancelled_commit_is_whole_or_nothing_and_leaves_nothing_locked<F: Fixture>(
    f: Arc<F>,
) {
    for (key, polls) in (0..).step_by(2).zip(0..10) {
        let mut tx = begin(&*f).await;
        add(&*f, &mut tx, key, 1).await;
        add(&*f, &mut tx, key + 1, 1).await;
        let answer = cancel_after(polls, f.transactions().commit(tx)).await;
        // Its outcome is settled once the next transaction has the rows.
        within("a write", add_one(&*f, key)).await.unwrap();
        let seen = f.committed().await;
        match seen[&key] {
            1 => assert!(
                answer.is_none() && !seen.contains_key(&(key + 1)),
                "{seen:?}"
            ),
            2 => assert_eq!(seen.get(&(key + 1)), Some(&1), "{seen:?}"),
            other => panic!("{other}: {seen:?}"),
        }
    }
}

pub async fn concurrent_writers_serialise<F: Fixture>(f: Arc<F>) {
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let f = Arc::clone(&f);
            tokio::spawn(async move {
                for _ in 0..10 {
                    add_one(&*f, 1).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        within("a writer", writer).await.unwrap();
    }
    assert_eq!(f.committed().await, BTreeMap::from([(1, 80)]));
}

pub async fn a_transaction_may_move_between_tasks<F: Fixture>(f: Arc<F>) {
    let mut tx = begin(&*f).await;
    add(&*f, &mut tx, 1, 1).await;
    let moved = tokio::spawn({
        let f = Arc::clone(&f);
        async move {
            add(&*f, &mut tx, 1, 1).await;
            commit(&*f, tx).await;
        }
    });
    moved.await.unwrap();
    assert_eq!(f.committed().await, BTreeMap::from([(1, 2)]));
}

pub async fn an_empty_transaction_commits<F: Fixture>(f: Arc<F>) {
    let tx = begin(&*f).await;
    commit(&*f, tx).await;
    assert_eq!(f.committed().await, BTreeMap::new());
}
