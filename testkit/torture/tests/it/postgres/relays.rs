//! Relays that die, and relays that come back after others took over.

use std::time::Duration;

use mainstay_torture::Actor;

use crate::stage::{EFFECTS, Stage, WAITING, holds_within};

/// A short lease, so that others take over soon, and rounds that are long enough to be struck.
const RELAY: &[&str] = &["--lease", "600", "--linger", "20"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_replaced() {
    const KILLS: usize = 6;
    let Some(stage) = Stage::shared(2).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", &[]), stage.writer("writer-2", &[])];
    let workers = [stage.worker("worker-1", &[]), stage.worker("worker-2", &[])];
    let mut relays: Vec<Actor> = (1..=2)
        .map(|number| stage.relay(&format!("relay-{number}"), RELAY))
        .collect();
    let mut struck = 0;
    for number in 3.. {
        stage.traffic(40).await;
        relays.remove(0).kill().unwrap();
        // What it had not recorded is there.
        struck += usize::from(stage.count(WAITING).await > 0);
        relays.push(stage.relay(&format!("relay-{number}"), RELAY));
        if struck == KILLS {
            break;
        }
    }
    let ended = stage
        .close(writers, relays.into_iter().chain(workers).collect())
        .await;
    assert!(ended.history.takeovers() >= KILLS);
}

/// Stopped in the middle of a round for longer than its lease; when it goes on, another one has done its work.
///
/// A process that is stopped within a transaction on the broker's file keeps everybody from it, as SQLite has it. Such a
/// stop is ended without the other one's work, and does not count.
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
    let mut struck = 0;
    while struck < STOPS {
        stage.traffic(40).await;
        let owner = stage.owner().await;
        let stopped = relays.iter().find(|relay| relay.name() == owner).unwrap();
        stopped.freeze().unwrap();
        let waiting = stage.count(WAITING).await;
        // Whatever the stopped one had begun, the other one sends, and goes on.
        stage
            .until("another one owns the shard", async || {
                stage.owner().await != owner
            })
            .await;
        let before = stage.count(EFFECTS).await;
        let others_went_on = holds_within(Duration::from_secs(5), async || {
            stage.count(EFFECTS).await >= before + waiting + 20
        });
        struck += usize::from(others_went_on.await);
        stopped.thaw().unwrap();
    }
    let ended = stage
        .close(writers, relays.into_iter().chain(workers).collect())
        .await;
    assert!(ended.history.takeovers() > STOPS);
    assert!(
        ended.history.repetitions() > 0,
        "no relay was stopped within a round"
    );
}
