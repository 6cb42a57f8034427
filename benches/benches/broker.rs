//! The SQLite broker beside the same rows written and read by hand.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

use mainstay_benches::{Bench, Comparison, Keys, Scratch, Side, Workload, timed};
use mainstay_database::sqlite::{Database, Synchronous};
use mainstay_messaging::{
    Consumer as _, Message, Publisher as _,
    broker::{ConsumerEvent, PublishOutcome},
    envelope,
    sqlite::Broker,
};

const PARTITIONS: u16 = 8;

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    for keys in [Keys::Uniform, Keys::Hot] {
        for batch in [100, 1_000] {
            append(&bench, keys, batch);
        }
    }
    read(&bench);
}

/// The log's table without anything around it.
const RAW_TABLE: &str = "CREATE TABLE raw_records (id INTEGER PRIMARY KEY, key TEXT, envelope TEXT NOT NULL, \
     payload BLOB, appended_at INTEGER NOT NULL) STRICT";

/// One statement, the rows as JSON.
const RAW_APPEND: &str = "INSERT INTO raw_records (key, envelope, payload, appended_at) \
     SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BLOB), $2 FROM json_each($1)";

fn raw_table(bench: &Bench, scratch: &Scratch) -> Database {
    let database = scratch.database(&bench.runtime, "raw", Synchronous::Full);
    bench.runtime.block_on(async {
        let mut tx = database.begin().await.unwrap();
        sqlx::query(RAW_TABLE).execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
    });
    database
}

fn broker(bench: &Bench, scratch: &Scratch) -> Broker {
    let database = scratch.database(&bench.runtime, "broker", Synchronous::Full);
    bench.runtime.block_on(async {
        let broker = Broker::builder_on(database).open().await.unwrap();
        let topic = Workload::topic();
        broker.create_topic(topic, PARTITIONS).await.unwrap();
        broker
    })
}

/// What a raw loop would have to bind.
fn rows(messages: &[Message]) -> Vec<(String, String, String)> {
    let row = |message: &Message| {
        (
            message.key.as_ref().unwrap().as_str().to_owned(),
            envelope::write(message),
            String::from_utf8(message.payload.as_ref().unwrap().to_vec()).unwrap(),
        )
    };
    messages.iter().map(row).collect()
}

async fn append_raw(database: &Database, rows: &[(String, String, String)]) {
    let set = serde_json::to_string(rows).unwrap();
    let mut tx = database.begin().await.unwrap();
    sqlx::query(RAW_APPEND)
        .bind(set)
        .bind(1_i64)
        .execute(&mut *tx)
        .await
        .unwrap();
    database.commit(tx).await.unwrap();
}

fn append(bench: &Bench, keys: Keys, batch: usize) {
    let name = format!("broker append, batches of {batch}, {keys:?} keys, FULL");
    if !bench.wants(&name) {
        return;
    }
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let (broker, raw) = (broker(bench, &scratch), raw_table(bench, &scratch));
    let publisher = broker.publisher();
    let messages = Workload::new(keys).messages(bench.scaled(4_000).max(batch));
    let rows = rows(&messages);
    let mut sides = [
        Side::new("broker", || {
            timed(|| {
                bench.runtime.block_on(async {
                    for batch in messages.chunks(batch) {
                        let answers = publisher.publish(batch).await;
                        assert!(answers.iter().all(PublishOutcome::is_acknowledged));
                    }
                });
            })
        }),
        Side::new(RAW_APPEND_NAME, || {
            timed(|| {
                bench.runtime.block_on(async {
                    for batch in rows.chunks(batch) {
                        append_raw(&raw, batch).await;
                    }
                });
            })
        }),
    ];
    let comparison = Comparison::new(name, messages.len()).target(RAW_APPEND_NAME, 0.5);
    bench.compare_closely(&comparison, &mut sides);
}

const RAW_APPEND_NAME: &str = "raw JSON-set INSERT";
/// Rows that the broker's one statement fetches: 500 of each partition.
const READ: i64 = 500 * PARTITIONS as i64;

/// Id, key, envelope, payload.
type Record = (i64, Option<String>, String, Option<Vec<u8>>);

fn read(bench: &Bench) {
    let name = "broker read, 4,000 records at once";
    if !bench.wants(name) {
        return;
    }
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let (broker, raw) = (broker(bench, &scratch), raw_table(bench, &scratch));
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(20_000));
    bench.runtime.block_on(async {
        for batch in messages.chunks(1_000) {
            drop(broker.publisher().publish(batch).await);
            append_raw(&raw, &rows(batch)).await;
        }
    });
    let mut round = 0;
    let mut sides = [
        Side::new("broker", || {
            round += 1;
            let joining = broker
                .consumer(format!("round-{round}"))
                .subscribe([Workload::topic()]);
            let mut consumer = bench.runtime.block_on(joining).unwrap();
            timed(|| {
                bench.runtime.block_on(async {
                    let mut seen = 0;
                    while seen < messages.len() {
                        if let ConsumerEvent::Deliveries(deliveries) =
                            consumer.next().await.unwrap()
                        {
                            seen += deliveries.len();
                        }
                    }
                });
            })
        }),
        Side::new("raw SELECT", || {
            timed(|| bench.runtime.block_on(read_raw(&raw, messages.len())))
        }),
    ];
    bench.compare(&Comparison::new(name, messages.len()), &mut sides);
}

/// Fetches and decodes the columns that the broker fetches and decodes.
async fn read_raw(database: &Database, count: usize) {
    let (mut seen, mut last) = (0, 0);
    while seen < count {
        let rows: Vec<Record> = sqlx::query_as(
            "SELECT id, key, envelope, payload FROM raw_records WHERE id > $1 ORDER BY id LIMIT $2 + 0",
        )
        .bind(last)
        .bind(READ)
        .fetch_all(database.reader())
        .await
        .unwrap();
        seen += rows.len();
        last = rows.last().unwrap().0;
    }
}
