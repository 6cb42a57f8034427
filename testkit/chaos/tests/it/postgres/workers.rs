//! Workers that die, and workers that come back after others took over.

use crate::stage::Stage;

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
    for _ in 0..STOPS {
        stage.traffic(30).await;
        workers.rotate_left(1);
        stage.freeze_in_transaction(&workers[0]).await;
        let open = stage.open().await;
        stage
            .until("the other one's effects", async || {
                stage.are_done(&open).await && !stage.is_in_transaction(workers[0].name()).await
            })
            .await;
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
    let mut stops = 0;
    while stops < STOPS {
        stage.traffic(30).await;
        workers.rotate_left(1);
        stage.freeze_in_transaction(&workers[0]).await;
        // Its commit may have been on the way when it was stopped. Then nobody has to wait.
        stage
            .until("another one waits", async || {
                stage.count(WAITING_FOR_LOCKS).await > 0
                    || !stage.is_in_transaction(workers[0].name()).await
            })
            .await;
        stops += usize::from(stage.is_in_transaction(workers[0].name()).await);
        workers[0].thaw();
    }
    workers.push(relay);
    stage.close(writers, workers).await;
}
