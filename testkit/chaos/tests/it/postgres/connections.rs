//! Connections that break, with and without a commit on its way.

use mainstay_testkit::Lost;
use mainstay_testkit::check;

use crate::stage::{SHARD, Stage, until};

/// Every connection of every process, reset or ended, at moments that nobody chose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_again_and_again() {
    const CUTS: usize = 12;
    let Some(mut stage) = Stage::shared(2).await else {
        return;
    };
    let wire = stage.wire().await;
    stage.url = stage.through(&wire);
    let writers = vec![stage.writer("writer-1", &[]), stage.writer("writer-2", &[])];
    let others = vec![
        stage.relay("relay-1", &["--linger", "10"]),
        stage.relay("relay-2", &["--linger", "10"]),
        stage.worker("worker-1", &["--linger", "5"]),
        stage.worker("worker-2", &["--linger", "5"]),
    ];
    let mut broken = 0;
    for cut in 0..CUTS {
        // More or less, so that not always the same thing is going on.
        stage
            .traffic(15 + i64::try_from(cut).unwrap() % 5 * 7)
            .await;
        broken += wire.cut();
    }
    let ended = stage.close(writers, others).await;
    assert!(broken > 5 * CUTS, "only {broken} connections were cut");
    assert!(ended.writers("interrupted") + ended.writers("unknown") > 0);
}

/// A relay that leases once. A lease that runs out cuts a send short, and what was cut short is sent again.
const FOR_GOOD: &[&str] = &["--lease", "600000"];

/// How often a commit is lost, each way.
const LOSSES: usize = 8;

/// The user asks again with the same id: what was committed is found, what was not is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writers_commit_lost() {
    for what in [Lost::Answer, Lost::Commit] {
        let Some(stage) = Stage::shared(1).await else {
            return;
        };
        let wire = stage.wire().await;
        let writer = stage.actor("writer", "writer-1", &stage.through(&wire), &[]);
        let relay = stage.relay("relay-1", FOR_GOOD);
        let others = vec![relay, stage.worker("worker-1", &[])];
        for losses in 1..=LOSSES {
            wire.lose(what, 5);
            until("a commit lost", async || {
                (wire.lost() == losses).then_some(())
            })
            .await;
        }
        let ended = stage.close(vec![writer], others).await;
        // Another commit than that of an entry may have been hit.
        let unknown = ended.writers("unknown");
        assert!(
            unknown >= LOSSES as u64 / 2,
            "{unknown} commits without an answer"
        );
        let found = if what == Lost::Answer { unknown } else { 0 };
        assert_eq!(ended.writers("found_committed"), found, "{what:?}");
        assert_eq!(
            check::each_published_once(&ended.history),
            Vec::<String>::new()
        );
    }
}

/// The record is written again: nothing is published twice for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relays_record_lost() {
    for what in [Lost::Answer, Lost::Commit] {
        let Some(stage) = Stage::shared(1).await else {
            return;
        };
        let wire = stage.wire().await;
        // Each further commit is a record.
        let relay = stage.actor("relay", "relay-1", &stage.through(&wire), FOR_GOOD);
        let writer = stage.writer("writer-1", &[]);
        let worker = stage.worker("worker-1", &[]);
        stage.traffic(10).await;
        for losses in 1..=LOSSES {
            wire.lose(what, 3);
            until("a commit lost", async || {
                (wire.lost() == losses).then_some(())
            })
            .await;
        }
        let ended = stage.close(vec![writer], vec![relay, worker]).await;
        assert_eq!(
            check::each_published_once(&ended.history),
            Vec::<String>::new()
        );
        assert_eq!(ended.history.takeovers(SHARD), 1);
    }
}

/// The transaction is run again: its processed records say whether it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workers_effects_lost() {
    for what in [Lost::Answer, Lost::Commit] {
        let Some(stage) = Stage::shared(1).await else {
            return;
        };
        let wire = stage.wire().await;
        let worker = stage.actor("worker", "worker-1", &stage.through(&wire), &[]);
        let writer = stage.writer("writer-1", &[]);
        let relay = stage.relay("relay-1", &[]);
        stage.traffic(10).await;
        for losses in 1..=LOSSES {
            wire.lose(what, 3);
            until("a commit lost", async || {
                (wire.lost() == losses).then_some(())
            })
            .await;
        }
        stage.close(vec![writer], vec![relay, worker]).await;
    }
}
