//! Workers and replayers that die while keys are blocked, drain and are blocked again.

use std::time::Duration;

use mainstay_dlq::{DeadLetterQueue, Error, Query, Signature};
use mainstay_inbox::PostgresInbox;

use crate::stage::Stage;

/// Many keys are blocked soon.
const POISON: &[&str] = &["--poison", "4", "--linger", "8", "--lock-timeout", "500"];

const KEPT: &str = "SELECT (SELECT count(*) FROM dlq_messages WHERE state IN ('dead', 'held')) + (SELECT count(*) FROM dlq_blocked_keys)";

/// Asks for everything that is dead, as an impatient operator does.
async fn replay_all(stage: &Stage) {
    let inbox = PostgresInbox::builder(stage.ledger.database()).open().await;
    let queue = DeadLetterQueue::builder(inbox.unwrap())
        .open()
        .await
        .unwrap();
    let (desk, by) = (
        queue.desk(),
        Signature::new("chaos", "perhaps it has healed"),
    );
    let dead = desk.list(&Query::dead(), None, 1_000).await.unwrap();
    for letter in dead.items {
        match desk.replay(letter.id, &by).await {
            Ok(()) | Err(Error::WrongState { .. } | Error::NotFirst { .. }) => {}
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_with_their_replayers() {
    const KILLS: usize = 5;
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let writers = vec![stage.writer("writer-1", &["--pace", "70"])];
    let relay = stage.relay("relay-1", &[]);
    let worker = |number: usize| stage.worker(&format!("worker-{number}"), POISON);
    let replayer = |number: usize| {
        let name = format!("replayer-{number}");
        stage.actor("replayer", &name, &stage.url, POISON)
    };
    let mut workers = vec![worker(1), worker(2)];
    let mut replayers = vec![replayer(1), replayer(2)];
    for number in 3..3 + KILLS {
        stage
            .until("messages to be kept", async || stage.count(KEPT).await > 10)
            .await;
        if number > 4 {
            let heal = "INSERT INTO healed DEFAULT VALUES";
            sqlx::query(heal)
                .execute(stage.ledger.database().pool())
                .await
                .unwrap();
        }
        replay_all(&stage).await;
        let struck = workers.remove(0);
        stage.freeze_in_transaction(&struck).await;
        struck.kill();
        replayers.remove(0).kill();
        workers.push(worker(number));
        replayers.push(replayer(number));
        if number < 2 + KILLS {
            let sick = sqlx::query("DELETE FROM healed");
            sick.execute(stage.ledger.database().pool()).await.unwrap();
        }
    }
    let written = crate::stage::finish(writers).await;
    assert!(!written.is_empty());
    // The last one has healed it: the operator asks until nothing is kept.
    stage
        .until("the queue to be empty", async || {
            replay_all(&stage).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            stage.is_settled().await && stage.count(KEPT).await == 0
        })
        .await;
    let replays = "SELECT count(*) FROM dlq_messages WHERE state = 'replayed'";
    assert!(stage.count(replays).await > 10, "few were ever kept");
    workers.extend(replayers);
    workers.push(relay);
    stage.close(Vec::new(), workers).await;
}
