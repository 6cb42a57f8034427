//! Idle transactions, and handlers that ignore errors.

use std::time::Duration;

use mainstay_inbox::{Error, Inbox as _, conformance::Fixture as _, failure::FailureKind};

use super::{
    PostgresFixture, Settings, fixture, fixture_with,
    scene::{Act, Running, all_committed, delivery, effects, publish, until},
};
use crate::named::{group, message, topic};

/// Transactions may idle for a second, and wait a fifth of it for a lock.
async fn impatient() -> Option<PostgresFixture> {
    let set = |database: Settings| {
        database
            .lock_timeout(Duration::from_millis(200))
            .idle_in_transaction_timeout(Duration::from_secs(1))
    };
    fixture_with(set).await
}

const DEADLINE: Duration = Duration::from_millis(800);

#[tokio::test]
async fn a_stopped_session_with_an_open_admission_is_ended_and_others_go_on() {
    let impatient = |database: Settings| database.lock_timeout(Duration::from_millis(200));
    let Some(f) = fixture_with(impatient).await else {
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
    )
    .await;
    // Meanwhile the other key goes on.
    assert_eq!(effects(&f, 1).await, ["b-0"]);
    until("the worker to wait", async || {
        (running.conflicts() > 0).then_some(())
    })
    .await;
    // Its limit starts only now, however long all this has taken.
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 200")
        .execute(&mut *stopped)
        .await
        .unwrap();
    assert_eq!(effects(&f, 3).await, ["b-0", "a-0", "a-1"]);
    all_committed(&f).await;
    assert!(
        running.status().blocked_keys.is_empty(),
        "a wait was counted"
    );
    running.stop().await;
    // It wakes up, and gets an error.
    let late = PostgresFixture::write(&mut stopped, "late").await;
    assert!(late.is_err_and(|error| error.is_retryable()));
    assert_eq!(f.effects().await.len(), 3);
}

#[tokio::test]
async fn a_handler_deadline_beyond_the_idle_limit_is_refused() {
    let Some(f) = impatient().await else { return };
    f.create_topic(&topic(), 1).await;
    let limit = Duration::from_secs(1);
    let running = Running::start(&f, |_| Act::Write, |worker| worker.handler_deadline(limit)).await;
    let ended = running.end().await;
    assert!(
        matches!(ended, Err(Error::DeadlineTooLong { .. })),
        "{ended:?}"
    );
}

/// Each is fast enough, but not all together: the server ends the transaction.
#[tokio::test]
async fn handlers_that_exceed_the_idle_limit_together_succeed_in_smaller_batches() {
    let Some(f) = impatient().await else { return };
    f.create_topic(&topic(), 1).await;
    // Of one key, so that only the batch size separates them.
    let messages: Vec<_> = (0..4).map(|number| message("a", number)).collect();
    publish(&f, &messages).await;
    let plan = |_: &str| Act::Nap(Duration::from_millis(400));
    let running = Running::start(&f, plan, |worker| worker.handler_deadline(DEADLINE)).await;
    all_committed(&f).await;
    assert!(
        running.status().blocked_keys.is_empty(),
        "a wait was counted"
    );
    assert_eq!(f.processed().await, 4);
    running.stop().await;
}

/// The transaction is rolled back although the handler succeeds, and later handlers in it fail,
/// too.
#[tokio::test]
async fn a_handler_that_ignores_an_sql_error_fails_alone() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    let messages: Vec<_> = (0..2)
        .flat_map(|number| ["a", "b", "c", "d", "e", "f"].map(|key| message(key, number)))
        .collect();
    publish(&f, &messages).await;
    let plan = |name: &str| {
        if name == "c-0" {
            Act::IgnoreError
        } else {
            Act::Write
        }
    };
    let running = Running::start(&f, plan, |worker| worker.max_attempts(2)).await;
    let effects = effects(&f, 10).await;
    assert!(effects.iter().all(|effect| !effect.starts_with('c')));
    let blocked = until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    assert_eq!(blocked.key.unwrap().as_str(), "c");
    assert_eq!(
        (blocked.kind, blocked.attempts, blocked.waiting),
        (FailureKind::Exhausted, 2, 1)
    );
    assert_eq!(running.status().blocked_keys.len(), 1);
    running.stop().await;
    assert_eq!(f.effects().await.len(), 10);
    assert_eq!(f.processed().await, 10);
}

#[tokio::test]
async fn the_last_handler_that_ignores_an_sql_error_has_failed() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    publish(&f, &[message("a", 0)]).await;
    let running = Running::start(&f, |_| Act::IgnoreError, |worker| worker.max_attempts(3)).await;
    let blocked = until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    assert_eq!(
        (blocked.kind, blocked.attempts),
        (FailureKind::Exhausted, 3)
    );
    running.stop().await;
    assert_eq!((f.effects().await.len(), f.processed().await), (0, 0));
    let progress = f.progress(&group()).await;
    assert_eq!(progress[0].1, 0, "the message was acknowledged");
}
