//! PostgreSQL's behaviour under concurrency, shown by the in-memory tables.
//!
//! Time is paused, so [`settle`] returns when every task has ended or waits for another one.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod changes;
mod commits;
#[cfg(feature = "conformance")]
mod conformance;
mod faults;
mod keys;
mod locks;
mod model;
mod savepoints;
mod unknown;
mod visibility;

use std::{future::Future, sync::Arc, time::Duration};

use mainstay_clock::{SeededIds, TokioClock};
use mainstay_database::{
    Error,
    memory::{Cause, Connection, Database, Inserted, Locked, Record, Strength, Transaction, Wait},
};
use tokio::task::JoinHandle;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    id: u32,
    value: i64,
}

impl Record for Row {
    const TABLE: &'static str = "row";
    type Key = u32;

    fn key(&self) -> u32 {
        self.id
    }
}

fn database() -> Database {
    Database::builder()
        .clock(TokioClock::default())
        .ids(SeededIds::new(1))
        .build()
}

/// A database with these values, under the ids 1, 2, 3 …
async fn with(values: &[i64]) -> Database {
    let database = database();
    let mut tx = database.begin().await.unwrap();
    for (id, &value) in (1..).zip(values) {
        assert_eq!(insert(&mut tx, id, value).await.unwrap(), Inserted::New);
    }
    database.commit(tx).await.unwrap();
    database
}

/// Runs until no task can continue.
async fn settle() {
    tokio::time::sleep(Duration::from_nanos(1)).await;
}

/// A wait that does not end is a failure, at once: time is paused.
async fn patiently<T>(statement: impl Future<Output = T>) -> T {
    let day = Duration::from_secs(24 * 60 * 60);
    let ended = tokio::time::timeout(day, statement).await;
    ended.expect("a statement waits for ever")
}

async fn insert(on: &mut Connection, id: u32, value: i64) -> Result<Inserted, Error> {
    let mut statement = on.statement().await?;
    patiently(statement.insert(Row { id, value })).await
}

async fn add(on: &mut Connection, id: u32, amount: i64) -> Result<bool, Error> {
    let change = |row: &mut Row| {
        row.value += amount;
        true
    };
    let mut statement = on.statement().await?;
    patiently(statement.update(&id, change)).await
}

async fn delete(on: &mut Connection, id: u32) -> Result<bool, Error> {
    let mut statement = on.statement().await?;
    patiently(statement.delete::<Row>(&id, |_| true)).await
}

async fn lock(on: &mut Connection, id: u32, strength: Strength) -> Result<Locked<Row>, Error> {
    let mut statement = on.statement().await?;
    patiently(statement.lock(&id, strength, Wait::Block)).await
}

async fn value(on: &mut Connection, id: u32) -> Option<i64> {
    let statement = on.statement().await.unwrap();
    statement.get::<Row>(&id).map(|row| row.value)
}

/// What a new transaction sees.
async fn committed(database: &Database, id: u32) -> Option<i64> {
    value(&mut database.begin().await.unwrap(), id).await
}

/// Runs statements of `$tx` in a task of its own, which gives the transaction back; by then it has
/// got as far as it can.
macro_rules! start {
    ($tx:ident => $run:expr) => {{
        let task = tokio::spawn(async move {
            let mut $tx = $tx;
            let result = $run.await;
            ($tx, result)
        });
        crate::memory::settle().await;
        task
    }};
}
use start;

/// The answer of a task that has stopped waiting.
async fn answer<T: std::fmt::Debug>(
    task: JoinHandle<(Transaction, Result<T, Error>)>,
) -> (Transaction, Result<T, Error>) {
    settle().await;
    assert!(task.is_finished(), "it still waits");
    task.await.unwrap()
}

fn cause(error: &Error) -> Cause {
    *error.driver().unwrap().downcast_ref::<Cause>().unwrap()
}

#[track_caller]
fn assert_conflict<T: std::fmt::Debug>(result: Result<T, Error>, expected: Cause) {
    match result {
        Err(error @ Error::Conflict(_)) => assert_eq!(cause(&error), expected),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a result that is looked at is used up"
)]
fn assert_aborted<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Aborted)), "{result:?}");
}
