//! Relays that die, and relays that come back after others took over.

use crate::stage::{Actor, SHARD, Stage};

/// A short lease, so that others take over soon, and rounds that are long enough to be struck.
const RELAY: &[&str] = &["--lease", "600", "--linger", "20"];

/// Killed when it had sent something and not recorded it: another one sends it again, and everything else behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_replaced() {
    const KILLS: usize = 5;
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", &[]), stage.writer("writer-2", &[])];
    let workers = [stage.worker("worker-1", &[]), stage.worker("worker-2", &[])];
    let mut relays: Vec<Actor> = (1..=2)
        .map(|n| stage.relay(&format!("relay-{n}"), RELAY))
        .collect();
    for number in 3..3 + KILLS {
        stage.traffic(40).await;
        let struck = stage.freeze_unrecorded(&relays).await.name().to_owned();
        let at = relays
            .iter()
            .position(|relay| relay.name() == struck)
            .unwrap();
        relays.remove(at).kill();
        relays.push(stage.relay(&format!("relay-{number}"), RELAY));
        stage
            .until("another one owns the shard", async || {
                stage.owner().await != struck
            })
            .await;
    }
    let ended = stage
        .close(writers, relays.into_iter().chain(workers).collect())
        .await;
    assert!(ended.history.takeovers(SHARD) > KILLS);
    assert!(ended.history.repetitions() >= KILLS);
}

/// Stopped in the middle of a round for longer than its lease; when it goes on, another one has done its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_past_the_lease() {
    const STOPS: usize = 4;
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", &[]), stage.writer("writer-2", &[])];
    let workers = [stage.worker("worker-1", &[])];
    let relays: Vec<Actor> = (1..=2)
        .map(|n| stage.relay(&format!("relay-{n}"), RELAY))
        .collect();
    for _ in 0..STOPS {
        stage.traffic(40).await;
        let stopped = stage.freeze_unrecorded(&relays).await;
        // Whatever the stopped one has sent, the other one sends again, and goes on.
        let owner = stopped.name();
        stage
            .until("another one owns the shard", async || {
                stage.owner().await != owner
            })
            .await;
        stage.traffic(20).await;
        stopped.thaw();
    }
    let ended = stage
        .close(writers, relays.into_iter().chain(workers).collect())
        .await;
    assert!(ended.history.takeovers(SHARD) > STOPS);
    assert!(ended.history.repetitions() >= STOPS);
}
