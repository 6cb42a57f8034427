//! Transactions that stay open for longer than anybody should wait.

use mainstay_chaos::{TOPIC, message};
use mainstay_outbox::{Outbox as _, PostgresOutbox};
use mainstay_testkit::history::Entry;
use sqlx::{PgConnection, PgPool};

use crate::stage::{SHARD, Stage};

/// As a writer does it, in a transaction of the test's own.
async fn enter(connection: &mut PgConnection, outbox: &PostgresOutbox, key: &str, id: &str) {
    const COUNT: &str = "INSERT INTO counters AS c (key, last) VALUES ($1, 1)
        ON CONFLICT (key) DO UPDATE SET last = c.last + 1 RETURNING last";
    let number = sqlx::query_scalar(COUNT)
        .bind(key)
        .fetch_one(&mut *connection)
        .await;
    let entry = Entry {
        key: Some(key.to_owned()),
        number: number.unwrap(),
        id: id.to_owned(),
        attempt: format!("only one of {id}"),
    };
    sqlx::query("INSERT INTO entries (id, key, number, attempt) VALUES ($1, $2, $3, $4)")
        .bind(&entry.id)
        .bind(&entry.key)
        .bind(entry.number)
        .bind(&entry.attempt)
        .execute(&mut *connection)
        .await
        .unwrap();
    let message = message(TOPIC, &entry).unwrap();
    outbox.enqueue(connection, &message).await.unwrap();
}

async fn entered(pool: &PgPool, outbox: &PostgresOutbox, key: &str, id: &str) {
    let mut tx = pool.begin().await.unwrap();
    enter(&mut tx, outbox, key, id).await;
    tx.commit().await.unwrap();
}

/// One session looks at the database as it was at first, another one has enqueued and does not commit. Nobody waits for either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_snapshot_and_an_open_writer_for_the_whole_run() {
    let Some(stage) = Stage::shared(2).await else {
        return;
    };
    let pool = stage.ledger.database().pool().clone();
    let outbox = stage.outbox().await;
    let mut old = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    let seen = "SELECT count(*) FROM entries";
    let at_first: i64 = sqlx::query_scalar(seen).fetch_one(&mut *old).await.unwrap();
    let mut open = pool.begin().await.unwrap();
    enter(&mut open, &outbox, "open", "open-1").await;

    let writers = vec![stage.writer("writer-1", &[]), stage.writer("writer-2", &[])];
    let others = vec![
        stage.relay("relay-1", &[]),
        stage.relay("relay-2", &[]),
        stage.worker("worker-1", &[]),
    ];
    stage.traffic(800).await;
    crate::stage::finish(writers).await;
    // All that is committed is published, recorded and done, and the two are still there.
    stage
        .until("the others are done", async || stage.is_settled().await)
        .await;
    assert_eq!(stage.count("SELECT count(*) FROM outbox").await, 0);

    open.commit().await.unwrap();
    stage
        .until("its message is done, too", async || {
            stage
                .count("SELECT count(*) FROM effects WHERE id = 'open-1'")
                .await
                == 1
        })
        .await;
    let now: i64 = sqlx::query_scalar(seen).fetch_one(&mut *old).await.unwrap();
    assert_eq!((at_first, now), (0, 0), "the snapshot has not lasted");
    old.rollback().await.unwrap();
    let ended = stage.close(Vec::new(), others).await;
    let last = ended
        .history
        .published
        .iter()
        .find(|record| record.entry.id == "open-1");
    assert_eq!(last.map(|record| record.entry.number), Some(1));
}

/// It draws a position and commits when later positions of other keys have long been published, by two relays one after the
/// other. Who wants its key waits, and comes behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_drawn_and_committed_much_later() {
    const LATER: i64 = 400;
    let Some(stage) = Stage::shared(1).await else {
        return;
    };
    let pool = stage.ledger.database().pool().clone();
    let outbox = stage.outbox().await;
    for id in ["late-1", "late-2"] {
        entered(&pool, &outbox, "late", id).await;
    }
    let mut late = pool.begin().await.unwrap();
    enter(&mut late, &outbox, "late", "late-3").await;
    let drawn = stage
        .count("SELECT last_value FROM pg_sequences WHERE sequencename = 'outbox_position_seq'")
        .await;
    let behind = tokio::spawn({
        let (pool, outbox) = (pool.clone(), outbox.clone());
        async move { entered(&pool, &outbox, "late", "late-4").await }
    });

    let lease = &["--lease", "600"];
    let writers = vec![stage.writer("writer-1", &[]), stage.writer("writer-2", &[])];
    let first = stage.relay("relay-1", lease);
    let worker = stage.worker("worker-1", &[]);
    stage.traffic(LATER / 2).await;
    first.kill();
    let second = stage.relay("relay-2", lease);
    stage
        .until("another relay has taken over", async || {
            stage.owner().await == "relay-2"
        })
        .await;
    stage.traffic(LATER).await;
    // Not one row of before the kill is left: the gap is behind everybody.
    stage
        .until("nothing of then is left", async || {
            stage
                .count("SELECT coalesce(min(position), 9223372036854775807) FROM outbox")
                .await
                > drawn + LATER
        })
        .await;
    assert!(!behind.is_finished(), "the key was not locked");
    late.commit().await.unwrap();
    behind.await.unwrap();
    entered(&pool, &outbox, "late", "late-5").await;
    let ended = stage.close(writers, vec![second, worker]).await;
    let late = ended
        .history
        .effects
        .iter()
        .filter(|effect| effect.entry.key.as_deref() == Some("late"));
    let late: Vec<&str> = late.map(|effect| &*effect.entry.id).collect();
    assert_eq!(late, ["late-1", "late-2", "late-3", "late-4", "late-5"]);
    assert_eq!(ended.history.takeovers(SHARD), 2);
}
