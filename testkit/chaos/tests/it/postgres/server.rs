//! The server dies.

use crate::stage::{Stage, WAITING};

/// Sessions of a role that are in a transaction.
const WRITING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE xact_start IS NOT NULL AND application_name LIKE 'writer-%'";
const WORKING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE xact_start IS NOT NULL AND application_name LIKE 'worker-%'";

/// As `pg_ctl stop -m immediate` ends it: nobody is asked to finish, and the next start recovers from the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again() {
    const KILLS: usize = 4;
    let Some((server, stage)) = Stage::private(2).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", &[]), stage.writer("writer-2", &[])];
    let others = vec![
        stage.relay("relay-1", &["--linger", "20"]),
        stage.relay("relay-2", &["--linger", "20"]),
        stage.worker("worker-1", &[]),
        stage.worker("worker-2", &[]),
    ];
    for kill in 1..=KILLS {
        stage.traffic(60).await;
        if kill % 2 == 0 {
            // Recovery begins behind this, and not at the start of all time.
            stage.run("CHECKPOINT").await;
        }
        stage
            .until("everybody is at work", async || {
                stage.count(WRITING).await > 0
                    && stage.count(WORKING).await > 0
                    && stage.count(WAITING).await > 0
            })
            .await;
        server.kill_immediate().await.unwrap();
        server.start_again().await.unwrap();
    }
    stage.traffic(60).await;
    let ended = stage.close(writers, others).await;
    let broken = ended.writers("interrupted") + ended.writers("unknown");
    assert!(broken >= KILLS as u64, "{broken} transactions were struck");
    server.close().await.unwrap();
}
