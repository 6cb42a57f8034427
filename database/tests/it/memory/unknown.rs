//! Commits whose answer is lost.

use super::*;
use mainstay_database::memory::{CommitFault, Outcome};

/// A commit of 10 → 11 whose answer is lost.
async fn unknown(outcome: Outcome) -> Database {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    add(&mut tx, 1, 1).await.unwrap();
    database
        .faults()
        .at_commit(1, CommitFault::Unknown(outcome));
    let answer = database.commit(tx).await;
    assert!(
        matches!(answer, Err(Error::OutcomeUnknown(_))),
        "{answer:?}"
    );
    database
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_unknown_outcome_may_have_been_applied() {
    let database = unknown(Outcome::Applied).await;
    assert_eq!(committed(&database, 1).await, Some(11));
    assert!(database.faults().pending().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_unknown_outcome_may_not_have_been_applied() {
    let database = unknown(Outcome::NotApplied).await;
    assert_eq!(committed(&database, 1).await, Some(10));
    let mut tx = database.begin().await.unwrap();
    assert!(add(&mut tx, 1, 1).await.unwrap(), "its locks are gone");
}

#[tokio::test(start_paused = true)]
async fn a_commit_applied_later_keeps_its_locks_until_then() {
    let database = unknown(Outcome::AppliedLater).await;
    let waiter = database.begin().await.unwrap();
    let waiter = start!(waiter => add(&mut waiter, 1, 100));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(!waiter.is_finished());
    assert_eq!(committed(&database, 1).await, Some(10));
    for pending in database.faults().pending() {
        pending.apply();
    }
    assert_eq!(committed(&database, 1).await, Some(11));
    let (waiter, updated) = answer(waiter).await;
    assert!(updated.unwrap());
    database.commit(waiter).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(111));
}

#[tokio::test(start_paused = true)]
async fn a_commit_applied_later_keeps_its_id_in_progress_until_then() {
    let database = unknown(Outcome::AppliedLater).await;
    let mut later = database.begin().await.unwrap();
    let id = later.transaction_id();
    database.commit(later).await.unwrap();
    let mut reader = database.begin().await.unwrap();
    let before = reader.statement().await.unwrap().snapshot();
    assert!(before.sees(id) && before.xmin() < id && before.in_progress().len() == 1);
    for pending in database.faults().pending() {
        pending.apply();
    }
    let after = reader.statement().await.unwrap().snapshot();
    assert!(after.xmin() > id && after.in_progress().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pending_commit_may_never_be_applied() {
    let database = unknown(Outcome::AppliedLater).await;
    let waiter = database.begin().await.unwrap();
    let waiter = start!(waiter => add(&mut waiter, 1, 100));
    for pending in database.faults().pending() {
        pending.discard();
    }
    let (waiter, updated) = answer(waiter).await;
    assert!(updated.unwrap());
    database.commit(waiter).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(110));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_to_serialize_is_not_applied() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    add(&mut tx, 1, 1).await.unwrap();
    database.faults().at_commit(1, CommitFault::Serialization);
    assert_conflict(database.commit(tx).await, Cause::SerializationFailure);
    assert_eq!(committed(&database, 1).await, Some(10));
}
