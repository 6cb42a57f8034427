//! Admissions that meet.

use std::time::Duration;

use mainstay_database::{Transactions as _, postgres::Options};
use mainstay_inbox::{Admission, Inbox as _, conformance::Fixture as _};
use mainstay_messaging::Delivery;

use super::{
    PostgresFixture, fixture, fixture_with,
    scene::{Act, Running, all_committed, delivery, effects, many, publish, until},
};
use crate::named::{group, message, topic};

/// Messages of one key each.
fn deliveries(round: usize, count: usize) -> Vec<Delivery> {
    (0..count)
        .map(|n| delivery(message(&format!("k{n}"), round), i64::try_from(n).unwrap()))
        .collect()
}

async fn fresh(f: &PostgresFixture, set: &[&Delivery]) -> usize {
    let mut tx = f.database.begin().await.unwrap();
    let answers = f.inbox.admit_batch(&mut tx, &group(), set).await.unwrap();
    f.database.commit(tx).await.unwrap();
    answers.iter().filter(|answer| answer.is_fresh()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_batches_of_the_same_messages_never_deadlock() {
    let Some(f) = fixture().await else { return };
    for round in 0..20 {
        let deliveries = deliveries(round, 400);
        let forwards: Vec<_> = deliveries.iter().collect();
        let backwards: Vec<_> = deliveries.iter().rev().collect();
        let (one, other) = tokio::join!(fresh(&f, &forwards), fresh(&f, &backwards));
        assert_eq!(one + other, 400, "{one} and {other}");
    }
    assert_eq!(f.marks().await, 20 * 400);
}

#[tokio::test]
async fn a_batch_waits_for_an_open_admission_of_one_of_its_messages() {
    let Some(f) = fixture().await else { return };
    for (round, commits) in [true, false].into_iter().enumerate() {
        let deliveries = deliveries(round, 5);
        let set: Vec<_> = deliveries.iter().collect();
        let mut tx = f.database.begin().await.unwrap();
        let first = f.inbox.admit(&mut tx, &group(), set[2]).await.unwrap();
        assert!(first.is_fresh());
        let mut other = f.database.begin().await.unwrap();
        let consumer = group();
        let mut waiting = Box::pin(f.inbox.admit_batch(&mut other, &consumer, &set));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
        assert!(early.is_err(), "{early:?}");
        if commits {
            f.database.commit(tx).await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        let answers = waiting.await.unwrap();
        let mut expected = [Admission::Fresh; 5];
        if commits {
            expected[2] = Admission::Duplicate;
        }
        assert_eq!(answers, expected);
    }
}

#[tokio::test]
async fn a_mark_that_somebody_holds_costs_one_wait_and_the_others_flow() {
    let mut options = Options::default();
    options.lock_timeout = Duration::from_millis(500);
    let Some(f) = fixture_with(options).await else {
        return;
    };
    f.create_topic(&topic(), 1).await;
    let messages: Vec<_> = (0..64).map(|n| message(&format!("k{n}"), 0)).collect();
    publish(&f, &messages).await;
    let mut holder = f.database.begin().await.unwrap();
    let held = delivery(messages[40].clone(), 40);
    let admission = f.inbox.admit(&mut holder, &group(), &held).await.unwrap();
    assert!(admission.is_fresh());
    let running = Running::start(&f, |_| Act::Write, |worker| worker);
    let done = effects(&f, 63).await;
    assert!(!done.contains(&"k40-0".to_owned()));
    // From then on the message waits alone, however often.
    assert_eq!(running.shared_conflicts(), 1, "waits of the others");
    holder.rollback().await.unwrap();
    effects(&f, 64).await;
    all_committed(&f).await;
    assert!(running.status().stopped.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_handler_that_waits_for_a_lock_lets_the_others_flow() {
    let mut options = Options::default();
    options.lock_timeout = Duration::from_millis(500);
    let Some(f) = fixture_with(options).await else {
        return;
    };
    f.create_topic(&topic(), 1).await;
    let accounts = "INSERT INTO accounts VALUES (1, 0)";
    sqlx::query(accounts).execute(&f.owner).await.unwrap();
    let messages: Vec<_> = (0..64).map(|n| message(&format!("k{n}"), 0)).collect();
    publish(&f, &messages).await;
    let mut holder = f.owner.begin().await.unwrap();
    let lock = "SELECT FROM accounts WHERE id = 1 FOR UPDATE";
    sqlx::query(lock).execute(&mut *holder).await.unwrap();
    let plan = |name: &str| {
        if name == "k40-0" {
            Act::Lock(1)
        } else {
            Act::Write
        }
    };
    let running = Running::start(&f, plan, |worker| worker);
    let done = effects(&f, 63).await;
    assert!(!done.contains(&"k40-0".to_owned()));
    // Each of the others was rolled back with the one that waits once at most.
    for other in done {
        let starts = running.starts_of(&other);
        assert!(starts <= 2, "{other} was handled {starts} times");
    }
    until("several waits", async || {
        (running.starts_of("k40-0") > 3).then_some(())
    })
    .await;
    assert!(running.status().stopped.is_empty(), "a wait was counted");
    holder.rollback().await.unwrap();
    effects(&f, 64).await;
    all_committed(&f).await;
    running.stop().await;
}

/// As a zombie and its successor do: each reads all of the messages, in transactions of several sizes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_the_same_messages_make_each_effect_once_and_never_deadlock() {
    let Some(mut f) = fixture().await else { return };
    let messages: Vec<_> = (0..20)
        .flat_map(|number| (0..40).map(move |key| message(&format!("k{key}"), number)))
        .collect();
    let mut workers = Vec::new();
    for batch in [100, 70] {
        f.broker = super::broker();
        f.create_topic(&topic(), 2).await;
        publish(&f, &messages).await;
        let set =
            |worker: super::scene::CountingWorker| worker.batch(many(batch)).concurrency(many(2));
        workers.push(Running::start(&f, |_| Act::Write, set));
    }
    let done = effects(&f, 800).await;
    for key in 0..40 {
        let prefix = format!("k{key}-");
        let of_key: Vec<_> = done.iter().filter(|e| e.starts_with(&prefix)).collect();
        let expected: Vec<_> = (0..20).map(|number| format!("{prefix}{number}")).collect();
        assert_eq!(of_key, expected.iter().collect::<Vec<_>>());
    }
    all_committed(&f).await;
    for running in workers {
        assert_eq!(running.conflicts(), 0);
        running.stop().await;
    }
    assert_eq!(f.effects().await.len(), 800);
}
