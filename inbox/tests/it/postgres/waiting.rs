//! Transactions that lie idle, handlers that keep errors to themselves.

use std::time::Duration;

use mainstay_database::{Transactions as _, postgres::Options};
use mainstay_inbox::{Error, FailureKind, Inbox as _, conformance::Fixture as _};

use super::{
    PostgresFixture, fixture, fixture_with,
    scene::{Act, Running, all_committed, delivery, effects, publish, until},
};
use crate::named::{group, message, topic};

/// Idle for a second, waiting for a fifth of it.
async fn impatient() -> Option<PostgresFixture> {
    let mut options = Options::default();
    options.lock_timeout = Duration::from_millis(200);
    options.idle_in_transaction_timeout = Duration::from_secs(1);
    fixture_with(options).await
}

const DEADLINE: Duration = Duration::from_millis(800);

#[tokio::test]
async fn a_session_that_stands_still_with_a_mark_is_ended_and_the_other_goes_on() {
    let mut options = Options::default();
    options.lock_timeout = Duration::from_millis(200);
    let Some(f) = fixture_with(options).await else {
        return;
    };
    f.create_topic(&topic(), 1).await;
    let messages = [message("a", 0), message("a", 1), message("b", 0)];
    publish(&f, &messages).await;
    let mut stopped = f.database.begin().await.unwrap();
    let held = delivery(messages[0].clone(), 0);
    let admission = f.inbox.admit(&mut stopped, &group(), &held).await.unwrap();
    assert!(admission.is_fresh());
    PostgresFixture::write(&mut stopped, "never").await.unwrap();
    let running = Running::start(
        &f,
        |_| Act::Write,
        |worker| worker.handler_deadline(DEADLINE),
    );
    // The other key goes on meanwhile.
    assert_eq!(effects(&f, 1).await, ["b-0"]);
    until("somebody waits", async || {
        (running.conflicts() > 0).then_some(())
    })
    .await;
    // Only now does its time run out, however long all this has taken.
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 200")
        .execute(&mut *stopped)
        .await
        .unwrap();
    assert_eq!(effects(&f, 3).await, ["b-0", "a-0", "a-1"]);
    all_committed(&f).await;
    assert!(running.status().stopped.is_empty(), "a wait was counted");
    running.stop().await;
    // It wakes up, and is told.
    let late = PostgresFixture::write(&mut stopped, "late").await;
    assert!(late.is_err_and(|error| error.is_retryable()));
    assert_eq!(f.effects().await.len(), 3);
}

#[tokio::test]
async fn a_deadline_beyond_the_idle_limit_is_refused() {
    let Some(f) = impatient().await else { return };
    f.create_topic(&topic(), 1).await;
    let limit = Duration::from_secs(1);
    let running = Running::start(&f, |_| Act::Write, |worker| worker.handler_deadline(limit));
    let ended = running.end().await;
    assert!(
        matches!(ended, Err(Error::DeadlineTooLong { .. })),
        "{ended:?}"
    );
}

/// Each in time, together too slow: the server ends the transaction.
#[tokio::test]
async fn handlers_that_outlast_the_idle_limit_together_come_through_in_smaller_batches() {
    let Some(f) = impatient().await else { return };
    f.create_topic(&topic(), 1).await;
    // Of one key, so that nothing but their size keeps them apart.
    let messages: Vec<_> = (0..4).map(|number| message("a", number)).collect();
    publish(&f, &messages).await;
    let plan = |_: &str| Act::Nap(Duration::from_millis(400));
    let running = Running::start(&f, plan, |worker| worker.handler_deadline(DEADLINE));
    all_committed(&f).await;
    assert!(running.status().stopped.is_empty(), "a wait was counted");
    assert_eq!(f.marks().await, 4);
    running.stop().await;
}

/// The transaction is rolled back whatever the handler says, and what runs after it in the same one fares no better.
#[tokio::test]
async fn a_handler_that_keeps_an_sql_error_to_itself_has_failed_and_nobody_else() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    let messages: Vec<_> = (0..2)
        .flat_map(|number| ["a", "b", "c", "d", "e", "f"].map(|key| message(key, number)))
        .collect();
    publish(&f, &messages).await;
    let plan = |name: &str| {
        if name == "c-0" {
            Act::KeepQuiet
        } else {
            Act::Write
        }
    };
    let running = Running::start(&f, plan, |worker| worker.attempts(2));
    let effects = effects(&f, 10).await;
    assert!(effects.iter().all(|effect| !effect.starts_with('c')));
    let stopped = until("the key stopped", async || running.status().stopped.pop()).await;
    assert_eq!(stopped.key.unwrap().as_str(), "c");
    assert_eq!(
        (stopped.kind, stopped.attempts, stopped.waiting),
        (FailureKind::Exhausted, 2, 1)
    );
    assert_eq!(running.status().stopped.len(), 1);
    running.stop().await;
    assert_eq!(f.effects().await.len(), 10);
    assert_eq!(f.marks().await, 10);
}

#[tokio::test]
async fn a_handler_that_keeps_an_sql_error_to_itself_is_not_done_when_it_is_the_last() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    publish(&f, &[message("a", 0)]).await;
    let running = Running::start(&f, |_| Act::KeepQuiet, |worker| worker.attempts(3));
    let stopped = until("the key stopped", async || running.status().stopped.pop()).await;
    assert_eq!(
        (stopped.kind, stopped.attempts),
        (FailureKind::Exhausted, 3)
    );
    running.stop().await;
    assert_eq!((f.effects().await.len(), f.marks().await), (0, 0));
    let progress = f.progress(&group()).await;
    assert_eq!(progress[0].1, 0, "it was acknowledged");
}
