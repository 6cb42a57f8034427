//! Workers that die, and workers that come back after others took over.

use std::time::Duration;

use crate::stage::{Stage, holds_within};

/// So few that one worker keeps up.
const WRITER: &[&str] = &["--pace", "70"];

/// Transactions that last, so that there is one open when it is struck; the server ends those that lie idle.
const WORKER: &[&str] = &["--linger", "8", "--lock-timeout", "500"];
const PASSING: &[&str] = &[
    "--linger",
    "10",
    "--lock-timeout",
    "500",
    "--idle-limit",
    "2000",
];

const WAITING_FOR_LOCKS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'worker-%' AND wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_replaced() {
    const KILLS: usize = 5;
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", WRITER)];
    let relay = stage.relay("relay-1", &[]);
    let mut workers = vec![
        stage.worker("worker-1", WORKER),
        stage.worker("worker-2", WORKER),
    ];
    for number in 3..3 + KILLS {
        stage.traffic(30).await;
        let struck = workers.remove(0);
        stage.freeze_in_transaction(&struck).await;
        struck.kill();
        workers.push(stage.worker(&format!("worker-{number}"), WORKER));
    }
    stage.traffic(30).await;
    workers.push(relay);
    stage.close(writers, workers).await;
}

/// Its transaction is ended by the server, its partitions go to another one; when it goes on, it has neither.
///
/// A process that is stopped within a transaction on the broker's file keeps everybody from it, as SQLite has it. Such a
/// stop is ended without the other one's work, and does not count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_past_lease_and_transaction() {
    const STOPS: usize = 3;
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", WRITER)];
    let relay = stage.relay("relay-1", &[]);
    let mut workers = vec![
        stage.worker("worker-1", PASSING),
        stage.worker("worker-2", PASSING),
    ];
    let (mut struck, mut tries) = (0, 0);
    while struck < STOPS {
        tries += 1;
        assert!(
            tries <= 5 * STOPS,
            "{struck} of {STOPS} stops in {tries} tries"
        );
        stage.traffic(30).await;
        workers.rotate_left(1);
        stage.freeze_in_transaction(&workers[0]).await;
        let open = stage.open().await;
        let others_did_it = holds_within(Duration::from_secs(8), async || {
            stage.are_done(&open).await && !stage.is_in_transaction(workers[0].name()).await
        });
        struck += usize::from(others_did_it.await);
        workers[0].thaw();
    }
    workers.push(relay);
    stage.close(writers, workers).await;
}

/// Its partitions go to another one, which waits for the processed records in its open transaction; then it goes on and commits after all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_past_its_lease_with_its_transaction_open() {
    const STOPS: usize = 3;
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", WRITER)];
    let relay = stage.relay("relay-1", &[]);
    let mut workers = vec![
        stage.worker("worker-1", WORKER),
        stage.worker("worker-2", WORKER),
    ];
    let (mut struck, mut tries) = (0, 0);
    while struck < STOPS {
        tries += 1;
        assert!(
            tries <= 5 * STOPS,
            "{struck} of {STOPS} stops in {tries} tries"
        );
        stage.traffic(30).await;
        workers.rotate_left(1);
        stage.freeze_in_transaction(&workers[0]).await;
        let another_waits = holds_within(Duration::from_secs(8), async || {
            stage.count(WAITING_FOR_LOCKS).await > 0
        });
        struck += usize::from(another_waits.await);
        workers[0].thaw();
    }
    workers.push(relay);
    stage.close(writers, workers).await;
}
