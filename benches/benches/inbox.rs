//! The SQLite inbox beside the same processed records written by hand.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

use std::sync::LazyLock;

use mainstay_benches::{Bench, Comparison, Keys, Scratch, Side, Took, Workload, timed};
use mainstay_database::sqlite::{Database, Synchronous};
use mainstay_inbox::{Inbox as _, SqliteInbox};
use mainstay_messaging::{Delivery, Group, Message, Partition, Position, broker::Content};

static CONSUMER: LazyLock<Group> = LazyLock::new(|| Group::from_static("billing"));

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    admit_one(&bench);
    for batch in [100, 1_000] {
        admit_batch(&bench, batch);
    }
}

fn inbox(bench: &Bench, scratch: &Scratch, name: &str) -> (Database, SqliteInbox) {
    let database = scratch.database(&bench.runtime, name, Synchronous::Full);
    let inbox = bench.runtime.block_on(async {
        let mut tx = database.begin().await.unwrap();
        sqlx::query("CREATE TABLE effects (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
            .execute(&mut *tx)
            .await
            .unwrap();
        database.commit(tx).await.unwrap();
        SqliteInbox::builder(&database).open().await.unwrap()
    });
    (database, inbox)
}

/// Messages that were never seen, as a broker hands them over.
fn deliveries(count: usize) -> Vec<Delivery> {
    let messages = Workload::new(Keys::Uniform).messages(count);
    let partition = Partition {
        topic: Workload::topic(),
        number: 0,
    };
    (0..)
        .zip(messages)
        .map(|(offset, message)| Delivery {
            position: Position {
                partition: partition.clone(),
                offset,
            },
            content: Content::Message(message),
        })
        .collect()
}

fn message(delivery: &Delivery) -> &Message {
    match &delivery.content {
        Content::Message(message) => message,
        Content::Raw(_) => unreachable!("deliveries() makes messages"),
    }
}

const RAW_ONE: &str = "INSERT OR IGNORE INTO inbox_processed (consumer, source, id, topic, partition, offset) \
     VALUES ($1, $2, $3, $4, $5, $6)";

const RAW_SET: &str = "INSERT OR IGNORE INTO inbox_processed (consumer, source, id, topic, partition, offset) \
     SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each($2)";

async fn processed_by_hand(connection: &mut sqlx::SqliteConnection, delivery: &Delivery) -> bool {
    let (message, position) = (message(delivery), &delivery.position);
    let recorded = sqlx::query(RAW_ONE)
        .bind(CONSUMER.as_str())
        .bind(message.source.as_str())
        .bind(message.id.as_str())
        .bind(position.partition.topic.as_str())
        .bind(position.partition.number)
        .bind(position.offset)
        .execute(connection)
        .await
        .unwrap();
    recorded.rows_affected() == 1
}

async fn effect(connection: &mut sqlx::SqliteConnection, delivery: &Delivery) {
    sqlx::query("INSERT INTO effects (body) VALUES ($1)")
        .bind(message(delivery).payload.as_deref())
        .execute(connection)
        .await
        .unwrap();
}

fn admit_one(bench: &Bench) {
    let name = "inbox: one message admitted in a transaction with an effect, FULL";
    if !bench.wants(name) {
        return;
    }
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let (ours, inbox) = inbox(bench, &scratch, "ours");
    let (by_hand, _) = self::inbox(bench, &scratch, "by_hand");
    let (bare, _) = self::inbox(bench, &scratch, "bare");
    let count = bench.scaled(50);
    let mut sides = [
        Side::new("inbox", || {
            let fresh = deliveries(count);
            timed(|| {
                bench.runtime.block_on(async {
                    for delivery in &fresh {
                        let mut tx = ours.begin().await.unwrap();
                        assert!(
                            inbox
                                .admit(&mut tx, &CONSUMER, delivery)
                                .await
                                .unwrap()
                                .is_fresh()
                        );
                        effect(&mut tx, delivery).await;
                        ours.commit(tx).await.unwrap();
                    }
                });
            })
        }),
        Side::new("raw INSERT OR IGNORE", || {
            let fresh = deliveries(count);
            timed(|| {
                bench.runtime.block_on(async {
                    for delivery in &fresh {
                        let mut tx = by_hand.begin().await.unwrap();
                        assert!(processed_by_hand(&mut tx, delivery).await);
                        effect(&mut tx, delivery).await;
                        by_hand.commit(tx).await.unwrap();
                    }
                });
            })
        }),
        Side::new("effect alone", || {
            let fresh = deliveries(count);
            timed(|| {
                bench.runtime.block_on(async {
                    for delivery in &fresh {
                        let mut tx = bare.begin().await.unwrap();
                        effect(&mut tx, delivery).await;
                        bare.commit(tx).await.unwrap();
                    }
                });
            })
        }),
    ];
    bench.compare_closely(&Comparison::new(name, count), &mut sides);
}

fn admit_batch(bench: &Bench, batch: usize) {
    let name = format!("inbox: batches of {batch} admitted, FULL");
    if !bench.wants(&name) {
        return;
    }
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let (ours, inbox) = inbox(bench, &scratch, "ours");
    let (set, _) = self::inbox(bench, &scratch, "set");
    let (one_by_one, _) = self::inbox(bench, &scratch, "one_by_one");
    let count = bench.scaled(4_000).max(batch);
    let mut sides = [
        Side::new("inbox", || {
            let fresh = deliveries(count);
            timed(|| {
                bench.runtime.block_on(async {
                    for batch in fresh.chunks(batch) {
                        let batch: Vec<&Delivery> = batch.iter().collect();
                        let mut tx = ours.begin().await.unwrap();
                        let answers = inbox.admit_batch(&mut tx, &CONSUMER, &batch).await.unwrap();
                        assert!(answers.iter().all(|answer| answer.is_fresh()));
                        ours.commit(tx).await.unwrap();
                    }
                });
            })
        }),
        Side::new("raw JSON-set INSERT OR IGNORE", || {
            let fresh = deliveries(count);
            processed_sets_by_hand(bench, &set, &fresh, batch)
        }),
        Side::new("loop of INSERT OR IGNORE", || {
            let fresh = deliveries(count);
            timed(|| {
                bench.runtime.block_on(async {
                    for batch in fresh.chunks(batch) {
                        let mut tx = one_by_one.begin().await.unwrap();
                        for delivery in batch {
                            assert!(processed_by_hand(&mut tx, delivery).await);
                        }
                        one_by_one.commit(tx).await.unwrap();
                    }
                });
            })
        }),
    ];
    bench.compare(&Comparison::new(name, count), &mut sides);
}

fn processed_sets_by_hand(
    bench: &Bench,
    database: &Database,
    fresh: &[Delivery],
    batch: usize,
) -> Took {
    let row = |delivery: &Delivery| {
        let (message, position) = (message(delivery), &delivery.position);
        let (source, id) = (
            message.source.as_str().to_owned(),
            message.id.as_str().to_owned(),
        );
        let topic = position.partition.topic.as_str().to_owned();
        (
            source,
            id,
            topic,
            position.partition.number,
            position.offset,
        )
    };
    let rows: Vec<_> = fresh.iter().map(row).collect();
    timed(|| {
        bench.runtime.block_on(async {
            for batch in rows.chunks(batch) {
                let mut tx = database.begin().await.unwrap();
                let recorded = sqlx::query(RAW_SET)
                    .bind(CONSUMER.as_str())
                    .bind(serde_json::to_string(batch).unwrap())
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                assert_eq!(usize::try_from(recorded.rows_affected()), Ok(batch.len()));
                database.commit(tx).await.unwrap();
            }
        });
    })
}
