//! A dump, and a new server that begins with it.

use std::{path::Path, process::Command, time::Duration};

use mainstay_chaos::{TOPIC, message};
use mainstay_outbox::{Entry as Delayed, Outbox as _};
use mainstay_testkit::history::Entry;
use mainstay_testkit::postgres::{Binaries, PrivateServer};

use crate::stage::{Stage, WAITING};

/// The name of a new transaction.
const NAME: &str = "SELECT pg_current_xact_id()::text::bigint";

/// Nobody has created it when the first server dies: its messages are refused, and its keys blocked.
const LATER: &str = "later";

fn run(program: &Path, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Without settings that only our driver knows.
fn plain(url: &str) -> &str {
    url.split_once('?').map_or(url, |(plain, _)| plain)
}

/// An entry whose message goes elsewhere, or comes later.
async fn enter(stage: &Stage, key: &str, number: i64, topic: &'static str, delay: Duration) {
    let entry = Entry {
        key: Some(key.to_owned()),
        number,
        id: format!("{key}-{number}"),
        attempt: "only one".to_owned(),
    };
    let database = stage.ledger.database();
    let outbox = stage.outbox().await;
    let mut tx = database.begin().await.unwrap();
    sqlx::query("INSERT INTO entries (id, key, number, attempt) VALUES ($1, $2, $3, $4)")
        .bind(&entry.id)
        .bind(&entry.key)
        .bind(entry.number)
        .bind(&entry.attempt)
        .execute(&mut *tx)
        .await
        .unwrap();
    let message = message(topic, &entry).unwrap();
    let delayed = Delayed::new(&message).deliver_after(delay);
    let entries = if delay.is_zero() {
        [Delayed::new(&message)]
    } else {
        [delayed]
    };
    let outcome = outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(outcome.len(), 1);
    database.commit(tx).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_in_the_middle_goes_on_elsewhere() {
    let Some(mut stage) = Stage::shared(2).await else {
        return;
    };
    let server = PrivateServer::for_suite("chaos tests, restore").await;
    let Some(server) = server.unwrap() else {
        return;
    };
    let binaries = Binaries::find(None).unwrap().directory;
    let (dump, restore) = (binaries.join("pg_dump"), binaries.join("pg_restore"));
    if !dump.exists() {
        println!("this PostgreSQL has no pg_dump: not tried with it");
        return;
    }
    // Names of transactions are far beyond those of a new server.
    stage.run("DO $$ BEGIN FOR i IN 1..20000 LOOP BEGIN
        INSERT INTO counters VALUES ('burnt', i); RAISE EXCEPTION 'x'; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$").await;
    let writer = stage.writer("writer-1", &[]);
    let relay = stage.relay("relay-1", &["--batch", "5", "--linger", "20"]);
    let worker = stage.worker("worker-1", &[]);
    for number in 1..=3 {
        enter(&stage, "refused", number, LATER, Duration::ZERO).await;
    }
    for number in 1..=3 {
        let key = format!("delayed-{number}");
        enter(&stage, &key, 1, TOPIC, Duration::from_secs(3)).await;
    }
    stage.traffic(100).await;
    stage
        .until("rows wait, and are deferred", async || {
            stage.count("SELECT count(*) FROM outbox").await > 10
                && stage
                    .count("SELECT count(*) FROM outbox_deferred WHERE blocked")
                    .await
                    == 3
        })
        .await;
    worker.kill();
    relay.kill();
    // Writers write on: what they commit from now on may be in the dump or not.
    let file = stage.path_of("dump");
    run(&dump, &["-Fc", "-d", plain(&stage.url), "-f", &file]);
    crate::stage::finish(vec![writer]).await;
    let old_name = stage.count(NAME).await;

    let database = server.server().unwrap().database().await.unwrap();
    run(
        &restore,
        &["--no-owner", "-d", plain(&database.url()), &file],
    );
    let abandoned = stage.move_to(database).await;
    abandoned.close().await.unwrap();
    let new_name = stage.count(NAME).await;
    assert!(new_name + 10_000 < old_name, "{new_name} after {old_name}");
    let waiting = stage.count(WAITING).await;
    let processed = stage.count("SELECT count(*) FROM inbox_processed").await;
    assert!(
        waiting > 10 && processed >= 100,
        "{waiting} rows and {processed} processed records in the dump"
    );
    assert!(
        stage
            .count("SELECT count(*) FROM outbox_deferred WHERE blocked")
            .await
            == 3
    );

    stage.create_topic(LATER).await;
    let others = vec![
        stage.relay("relay-2", &[]),
        stage.relay("relay-3", &[]),
        stage.worker("worker-2", &["--also", LATER]),
    ];
    let writers = vec![stage.writer("writer-2", &[])];
    stage.traffic(100).await;
    let ended = stage.close(writers, others).await;
    let done = ended
        .history
        .effects
        .iter()
        .filter(|effect| effect.entry.key.as_deref() == Some("refused"));
    assert_eq!(done.count(), 3);
    server.close().await.unwrap();
}
