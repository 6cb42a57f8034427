//! A million transactions that came to nothing.

use std::time::Duration;

use mainstay_chaos::{TOPIC, message};
use mainstay_database::postgres::Database;
use mainstay_outbox::{
    Outbox as _, PostgresOutbox,
    store::{Limit, RelayStore as _},
};
use mainstay_testkit::history::Entry;

use crate::stage::{Stage, until};

/// Each block draws a thousand positions and is rolled back.
const BURN: &str = "DO $$ BEGIN FOR block IN 1..1000 LOOP
    BEGIN
        INSERT INTO outbox (shard, topic, key, envelope) SELECT 0, 'entries', 'nobody', '{}' FROM generate_series(1, 1000);
        RAISE EXCEPTION 'nothing of it';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
END LOOP; END $$";
const POSITION: &str =
    "SELECT coalesce(last_value, 0) FROM pg_sequences WHERE sequencename = 'outbox_position_seq'";

/// What rounds read: blocks of the log and of its index, wherever they were found.
const BLOCKS: &str =
    "SELECT (heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint
    FROM pg_statio_user_tables WHERE relname = 'outbox'";

const ROUNDS: i64 = 20;

/// How many blocks a round reads that finds `rows`, on average over some.
async fn cost_of_a_round(stage: &Stage, rows: i64) -> i64 {
    const GONE: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rounds'";
    let before = stage.count(BLOCKS).await;
    // A session tells what it has read when it ends, at the latest.
    let url = stage.named("rounds");
    let database = Database::connect(&url).await.unwrap();
    let outbox = PostgresOutbox::builder(&database).open().await.unwrap();
    let leases = outbox
        .lease("rounds", Duration::from_secs(60))
        .await
        .unwrap();
    let limit = Limit {
        messages: 1_000,
        bytes: usize::MAX,
    };
    for _ in 0..ROUNDS {
        let fetched = outbox.fetch(&leases, limit, &[]).await.unwrap();
        assert_eq!(i64::try_from(fetched.rows.len()).unwrap(), rows);
    }
    outbox.release("rounds").await.unwrap();
    database.close().await;
    until("the session is gone", async || {
        (stage.count(GONE).await == 0).then_some(())
    })
    .await;
    (stage.count(BLOCKS).await - before) / ROUNDS
}

/// Enqueued through the library and rolled back, as a user does who changes their mind.
async fn changed_minds(stage: &Stage, count: i64) {
    let (pool, outbox) = (stage.ledger.database().pool().clone(), stage.outbox().await);
    for number in 0..count {
        let entry = Entry {
            key: Some(format!("{}", number % 10)),
            number,
            id: format!("rolled-back-{number}"),
            attempt: "none".to_owned(),
        };
        let mut tx = pool.begin().await.unwrap();
        outbox
            .enqueue(&mut tx, &message(TOPIC, &entry).unwrap())
            .await
            .unwrap();
        tx.rollback().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_positions_that_nobody_has() {
    let Some((server, stage)) = Stage::private(1).await else {
        return;
    };
    // As a server that is not asked for a vacuum within ten seconds does it, sooner or later.
    server
        .restart_with(&[("autovacuum_naptime", "1s")])
        .await
        .unwrap();

    let few = vec![stage.writer("writer-1", &["--pace", "1"])];
    stage
        .until("some rows wait", async || {
            stage.count("SELECT count(*) FROM outbox").await >= 100
        })
        .await;
    crate::stage::finish(few).await;
    let rows = stage.count("SELECT count(*) FROM outbox").await;
    let cost = cost_of_a_round(&stage, rows).await;

    // In the middle of traffic: its first half lies below the million, the other half between and above.
    let writers = vec![stage.writer("writer-2", &[])];
    let drawn = stage.count(POSITION).await;
    stage.run(BURN).await;
    changed_minds(&stage, 3_000).await;
    assert!(stage.count(POSITION).await >= drawn + 1_000_000);
    crate::stage::finish(writers).await;
    let more = stage.count("SELECT count(*) FROM outbox").await;
    let unvacuumed = cost_of_a_round(&stage, more.min(1_000)).await;
    stage
        .until("the server has cleaned up", async || {
            stage
                .count("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'outbox'")
                .await
                < 1_000
        })
        .await;
    let afterwards = cost_of_a_round(&stage, more.min(1_000)).await;
    println!(
        "blocks of a round: {cost} of {rows} rows before, {unvacuumed} of {more} rows before a vacuum, {afterwards} after it"
    );
    // A row costs its own page and at most a leaf of the index: the gaps between rows keep leaves apart. Where nobody cleans
    // up, a first round reads 16,000 blocks and more, each further one 4,000: every leaf that the million filled.
    assert!(
        (1..=2 * more.min(1_000) + 200).contains(&afterwards),
        "{afterwards} after {cost}"
    );

    let others = vec![
        stage.relay("relay-1", &["--batch", "200"]),
        stage.worker("worker-1", &[]),
    ];
    let writers = vec![stage.writer("writer-3", &[])];
    stage.close(writers, others).await;
    server.close().await.unwrap();
}
