//! Faults on demand, and transactions that failed.

use std::collections::BTreeSet;

use super::*;
use mainstay_database::memory::Fault;

#[tokio::test(start_paused = true)]
async fn the_kth_statement_fails_and_no_other() {
    let kinds = [
        (Fault::Serialization, Cause::SerializationFailure),
        (Fault::LockTimeout, Cause::LockTimeout),
        (Fault::Unavailable, Cause::ConnectionLost),
    ];
    for (fault, expected) in kinds {
        let database = with(&[10]).await;
        database.faults().at_statement(3, fault);
        let (mut first, mut second) = (
            database.begin().await.unwrap(),
            database.begin().await.unwrap(),
        );
        add(&mut first, 1, 1).await.unwrap();
        assert_eq!(value(&mut second, 1).await, Some(10));
        let error = add(&mut first, 1, 1).await.unwrap_err();
        assert!(error.is_retryable());
        assert_eq!(cause(&error), expected);
        let lost = matches!(error, Error::Unavailable(_));
        assert_eq!(lost, fault == Fault::Unavailable, "{error:?}");
        assert_aborted(add(&mut first, 1, 1).await);
        assert_eq!(value(&mut second, 1).await, Some(10));
        drop(first);
        assert!(add(&mut second, 1, 1).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn an_aborted_transaction_refuses_statements_and_its_commit_is_a_rollback() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    add(&mut tx, 1, 1).await.unwrap();
    let id = tx.transaction_id();
    database.faults().at_statement(1, Fault::Serialization);
    assert_conflict(add(&mut tx, 1, 1).await, Cause::SerializationFailure);
    for _ in 0..3 {
        assert_aborted(tx.statement().await.map(drop));
    }
    let mut reader = database.begin().await.unwrap();
    let snapshot = reader.statement().await.unwrap().snapshot();
    assert!(snapshot.xmin() > id, "it has ended on the server");
    assert_aborted(database.commit(tx).await);
    assert_eq!(committed(&database, 1).await, Some(10));
}

#[tokio::test(start_paused = true)]
async fn an_aborted_transaction_has_let_go_of_its_locks() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    add(&mut tx, 1, 1).await.unwrap();
    let waiter = database.begin().await.unwrap();
    let waiter = start!(waiter => add(&mut waiter, 1, 1));
    assert!(!waiter.is_finished());
    database.faults().at_statement(1, Fault::LockTimeout);
    assert_conflict(tx.statement().await.map(drop), Cause::LockTimeout);
    assert!(answer(waiter).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_goes_on_after_an_error_is_refused() {
    let database = with(&[10, 20]).await;
    let mut holder = database.begin().await.unwrap();
    add(&mut holder, 1, 1).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let mut statement = tx.statement().await.unwrap();
    let refused = statement
        .lock::<Row>(&1, Strength::Share, Wait::NoWait)
        .await;
    assert_conflict(refused, Cause::LockNotAvailable);
    assert_aborted(
        statement
            .lock::<Row>(&2, Strength::Share, Wait::Block)
            .await,
    );
    assert_aborted(statement.insert(Row { id: 3, value: 30 }).await);
    assert_aborted(statement.upsert(Row { id: 3, value: 30 }, |_| ()).await);
    assert_aborted(statement.update(&2, |_: &mut Row| true).await);
    assert_aborted(statement.delete(&2, |_: &Row| true).await);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_holds_its_locks_until_it_is_dropped() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    add(&mut tx, 1, 1).await.unwrap();
    database.faults().at_statement(1, Fault::Unavailable);
    assert!(matches!(
        tx.statement().await.map(drop),
        Err(Error::Unavailable(_))
    ));
    let waiter = database.begin().await.unwrap();
    let waiter = start!(waiter => add(&mut waiter, 1, 1));
    assert!(!waiter.is_finished());
    drop(tx);
    let (waiter, updated) = answer(waiter).await;
    assert!(updated.unwrap());
    database.commit(waiter).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_rule_chooses_statements_by_transaction_and_number() {
    let database = with(&[10]).await;
    let (mut first, mut second) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    let mut transactions = BTreeSet::new();
    database.faults().when(move |attempt| {
        transactions.insert(attempt.transaction);
        let second = transactions.first() != Some(&attempt.transaction);
        (second && attempt.statement == 2).then_some(Fault::Serialization)
    });
    for _ in 0..3 {
        assert_eq!(value(&mut first, 1).await, Some(10));
    }
    assert_eq!(value(&mut second, 1).await, Some(10));
    assert_conflict(
        second.statement().await.map(drop),
        Cause::SerializationFailure,
    );
    database.faults().clear();
    assert_eq!(committed(&database, 1).await, Some(10));
}

#[tokio::test(start_paused = true)]
async fn random_faults_follow_from_the_seed() {
    async fn run(seed: u64) -> Vec<bool> {
        let database = Database::builder()
            .clock(TokioClock::default())
            .ids(SeededIds::new(seed))
            .build();
        database.faults().sometimes(4, Fault::Serialization);
        let mut outcomes = Vec::new();
        for _ in 0..200 {
            let mut tx = database.begin().await.unwrap();
            outcomes.push(tx.statement().await.is_ok());
        }
        outcomes
    }
    let outcomes = run(7).await;
    assert_eq!(outcomes, run(7).await);
    assert_ne!(outcomes, run(8).await);
    let failed = outcomes.iter().filter(|ok| !**ok).count();
    assert!(
        (25..=75).contains(&failed),
        "{failed} of 200 at one in four"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_answers_nothing_and_comes_back() {
    let database = with(&[10]).await;
    let mut open = database.begin().await.unwrap();
    let mut committing = database.begin().await.unwrap();
    add(&mut committing, 1, 1).await.unwrap();
    database.faults().set_down(true);
    assert!(matches!(database.begin().await, Err(Error::Unavailable(_))));
    assert!(matches!(open.statement().await, Err(Error::Unavailable(_))));
    let unknown = database.commit(committing).await;
    assert!(
        matches!(unknown, Err(Error::OutcomeUnknown(_))),
        "{unknown:?}"
    );
    database.faults().set_down(false);
    assert_eq!(committed(&database, 1).await, Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_lingers_after_its_client_died() {
    let database = with(&[10]).await;
    database.faults().linger(true);
    let mut dying = database.begin().await.unwrap();
    add(&mut dying, 1, 1).await.unwrap();
    let id = dying.transaction_id();
    drop(dying);
    database.faults().linger(false);
    let waiter = database.begin().await.unwrap();
    let waiter = start!(waiter => add(&mut waiter, 1, 1));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(!waiter.is_finished());
    let mut reader = database.begin().await.unwrap();
    let snapshot = reader.statement().await.unwrap().snapshot();
    assert_eq!(snapshot.xmin(), id, "its id is still in progress");
    for lingering in database.faults().lingering() {
        lingering.end();
    }
    assert!(answer(waiter).await.1.unwrap());
    assert!(database.faults().lingering().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_transaction_of_another_database_cannot_be_committed() {
    let (one, another) = (with(&[10]).await, with(&[10]).await);
    let mut tx = one.begin().await.unwrap();
    add(&mut tx, 1, 1).await.unwrap();
    let error = another.commit(tx).await.unwrap_err();
    assert_eq!(cause(&error), Cause::AnotherDatabase);
    assert_eq!(committed(&one, 1).await, Some(10));
}
