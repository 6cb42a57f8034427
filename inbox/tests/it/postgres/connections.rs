//! Connections that break.

use mainstay_database::postgres::Database;
use mainstay_inbox::conformance::Fixture as _;
use mainstay_testkit::Lost;

use super::{
    PostgresFixture, as_service, fixture,
    scene::{Act, Running, all_committed, effects, publish, until},
};
use crate::named::{message, topic};

const KEYS: usize = 30;
const PER_KEY: usize = 30;

/// One message of each key.
async fn publish_next(f: &PostgresFixture, number: usize) {
    let messages: Vec<_> = (0..KEYS)
        .map(|key| message(&format!("k{key}"), number))
        .collect();
    publish(f, &messages).await;
}

async fn each_once_and_in_order(f: &PostgresFixture) {
    let effects = effects(f, KEYS * PER_KEY).await;
    for key in 0..KEYS {
        let prefix = format!("k{key}-");
        let of_key: Vec<_> = effects.iter().filter(|e| e.starts_with(&prefix)).collect();
        let expected: Vec<_> = (0..PER_KEY).map(|n| format!("{prefix}{n}")).collect();
        assert_eq!(of_key, expected.iter().collect::<Vec<_>>());
    }
    all_committed(f).await;
    assert_eq!(f.effects().await.len(), KEYS * PER_KEY);
    assert_eq!(f.processed().await, KEYS * PER_KEY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_lose_no_effect_and_count_no_attempt() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 3).await;
    let set = |worker: super::scene::CountingWorker| worker.batch_size(10).concurrency(3);
    let running = Running::start(&f, |_| Act::Write, set).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'service'";
    for number in 0..PER_KEY {
        publish_next(&f, number).await;
        // At the start of its work, or in the midst of it.
        let done = if number % 2 == 0 {
            0
        } else {
            KEYS * number + 1
        };
        until("the worker works", async || {
            (f.effects().await.len() >= done).then_some(())
        })
        .await;
        until("a connection was cut", async || {
            let cut = sqlx::query_scalar::<_, i64>(cut).fetch_one(&f.owner);
            (cut.await.unwrap() > 0).then_some(())
        })
        .await;
    }
    each_once_and_in_order(&f).await;
    assert!(
        running.status().blocked_keys.is_empty(),
        "a cut was counted"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_applies_its_effects_once() {
    for what in [Lost::Answer, Lost::Commit] {
        let Some(f) = fixture().await else { return };
        f.create_topic(&topic(), 3).await;
        for number in 0..PER_KEY {
            publish_next(&f, number).await;
        }
        let (wire, url) = f.server.over_a_wire().await.unwrap();
        let url = as_service(&url);
        let database = Database::connect(&url).await.unwrap();
        let set = |worker: super::scene::CountingWorker| worker.batch_size(10);
        wire.lose(what, 2);
        let running = Running::start_on(&f, database, |_| Act::Write, set).await;
        for times in 1..=6 {
            until("a commit lost", async || {
                (wire.lost() >= times).then_some(())
            })
            .await;
            wire.lose(what, 3);
        }
        each_once_and_in_order(&f).await;
        assert!(
            running.status().blocked_keys.is_empty(),
            "{what:?} was counted"
        );
        running.stop().await;
    }
}
