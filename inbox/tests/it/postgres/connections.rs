//! Connections that break.

use std::time::Duration;

use mainstay_database::postgres::Database;
use mainstay_inbox::conformance::Fixture as _;
use mainstay_testkit::{Lost, Wire};

use super::{
    PostgresFixture, as_service, fixture,
    scene::{Act, Running, all_committed, effects, publish},
};
use crate::named::{message, topic};

const KEYS: usize = 30;
const PER_KEY: usize = 30;

async fn publish_all(f: &PostgresFixture) {
    f.create_topic(&topic(), 3).await;
    let messages: Vec<_> = (0..PER_KEY)
        .flat_map(|number| (0..KEYS).map(move |key| message(&format!("k{key}"), number)))
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
    publish_all(&f).await;
    let set = |worker: super::scene::CountingWorker| worker.batch_size(10).concurrency(3);
    let running = Running::start(&f, |_| Act::Write, set).await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'service'";
    let mut cuts: i64 = 0;
    while cuts < 40 && f.effects().await.len() < KEYS * PER_KEY {
        cuts += sqlx::query_scalar::<_, i64>(cut)
            .fetch_one(&f.owner)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(cuts > 5, "only {cuts} connections were cut");
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
        publish_all(&f).await;
        let options = f.server.options();
        let wire = Wire::to(options.get_host(), options.get_port()).await;
        let wire = wire.unwrap();
        // The wire sees commits only in unencrypted connections.
        let options = options
            .host("127.0.0.1")
            .port(wire.port())
            .ssl_mode(sqlx::postgres::PgSslMode::Disable);
        let url: String = sqlx::ConnectOptions::to_url_lossy(&options).into();
        let url = as_service(&url);
        let database = Database::connect(&url).await.unwrap();
        let set = |worker: super::scene::CountingWorker| worker.batch_size(10);
        wire.lose(what, 2);
        let running = Running::start_on(&f, database, |_| Act::Write, set).await;
        for times in 1..=6 {
            super::scene::until("a commit lost", async || {
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
