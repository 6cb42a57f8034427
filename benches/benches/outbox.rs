//! The SQLite outbox beside the same rows written and drained by hand.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mainstay_benches::{Bench, Comparison, Keys, Scratch, Side, Workload, timed};
use mainstay_database::sqlite::{Database, Synchronous};
use mainstay_messaging::{Key, Message, Publisher, broker::PublishOutcome, envelope};
use mainstay_outbox::{Entry, Outbox as _, Relay, SqliteOutbox};
use sqlx::SqliteConnection;
use tokio_util::sync::CancellationToken;

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    for (synchronous, transactions) in [(Synchronous::Full, 100), (Synchronous::Normal, 200)] {
        enqueue(&bench, synchronous, transactions);
    }
    for keys in [Keys::Uniform, Keys::Hot] {
        for batch in [100, 1_000] {
            drain(&bench, keys, batch);
        }
    }
}

/// An outbox in a file of its own, which has the application's table, too.
fn outbox(
    bench: &Bench,
    scratch: &Scratch,
    name: &str,
    synchronous: Synchronous,
) -> (Database, SqliteOutbox) {
    let database = scratch.database(&bench.runtime, name, synchronous);
    let outbox = bench.runtime.block_on(async {
        let mut tx = database.begin().await.unwrap();
        sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
            .execute(&mut *tx)
            .await
            .unwrap();
        database.commit(tx).await.unwrap();
        SqliteOutbox::builder(&database).open().await.unwrap()
    });
    (database, outbox)
}

/// The application's own write.
async fn business(connection: &mut SqliteConnection, message: &Message) {
    sqlx::query("INSERT INTO orders (body) VALUES ($1)")
        .bind(message.payload.as_deref())
        .execute(connection)
        .await
        .unwrap();
}

/// What an application without the library would write.
async fn insert_by_hand(connection: &mut SqliteConnection, message: &Message, envelope: &str) {
    sqlx::query(
        "INSERT INTO outbox (shard, topic, key, envelope, payload) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(0)
    .bind(message.topic.as_str())
    .bind(message.key.as_ref().map(Key::as_str))
    .bind(envelope)
    .bind(message.payload.as_deref())
    .execute(connection)
    .await
    .unwrap();
}

fn enqueue(bench: &Bench, synchronous: Synchronous, transactions: usize) {
    let name = format!("outbox: one row added to a transaction, {synchronous:?}");
    if !bench.wants(&name) {
        return;
    }
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let (ours, outbox) = outbox(bench, &scratch, "ours", synchronous);
    let (by_hand, _) = self::outbox(bench, &scratch, "by_hand", synchronous);
    let (bare, _) = self::outbox(bench, &scratch, "bare", synchronous);
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(transactions));
    let envelopes: Vec<String> = messages.iter().map(envelope::write).collect();
    let mut sides = [
        Side::new("outbox", || {
            timed(|| {
                bench.runtime.block_on(async {
                    for message in &messages {
                        let mut tx = ours.begin().await.unwrap();
                        business(&mut tx, message).await;
                        outbox.enqueue(&mut tx, message).await.unwrap();
                        ours.commit(tx).await.unwrap();
                    }
                });
            })
        }),
        Side::new(BY_HAND, || {
            timed(|| {
                bench.runtime.block_on(async {
                    for (message, envelope) in messages.iter().zip(&envelopes) {
                        let mut tx = by_hand.begin().await.unwrap();
                        business(&mut tx, message).await;
                        insert_by_hand(&mut tx, message, envelope).await;
                        by_hand.commit(tx).await.unwrap();
                    }
                });
            })
        }),
        Side::new("bare transaction", || {
            timed(|| {
                bench.runtime.block_on(async {
                    for message in &messages {
                        let mut tx = bare.begin().await.unwrap();
                        business(&mut tx, message).await;
                        bare.commit(tx).await.unwrap();
                    }
                });
            })
        }),
    ];
    // Many short rounds: what the machine does meanwhile strikes both sides of a pair.
    let comparison = Comparison::new(name, messages.len())
        .rounds(151)
        .target(BY_HAND, 0.95);
    bench.compare_closely(&comparison, &mut sides);
}

const BY_HAND: &str = "hand-written INSERT";
const DELETE: &str = "raw DELETE … RETURNING";

/// Takes everything; says when all of it has come.
struct Null {
    expected: usize,
    seen: AtomicUsize,
    all: CancellationToken,
}

#[async_trait]
impl Publisher for Null {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let before = self.seen.fetch_add(messages.len(), Ordering::Relaxed);
        if before + messages.len() >= self.expected {
            self.all.cancel();
        }
        messages
            .iter()
            .map(|_| PublishOutcome::Acknowledged)
            .collect()
    }
}

/// Rows waiting to be drained.
fn fill(bench: &Bench, database: &Database, outbox: &SqliteOutbox, messages: &[Message]) {
    bench.runtime.block_on(async {
        for batch in messages.chunks(1_000) {
            let entries: Vec<Entry<'_>> = batch.iter().map(Entry::new).collect();
            let mut tx = database.begin().await.unwrap();
            let added = outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
            assert_eq!(added.len(), batch.len());
            database.commit(tx).await.unwrap();
        }
    });
}

fn drain(bench: &Bench, keys: Keys, batch: u32) {
    let name =
        format!("relay drain into a null publisher, batches of {batch}, {keys:?} keys, FULL");
    if !bench.wants(&name) {
        return;
    }
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let (database, outbox) = outbox(bench, &scratch, "ours", Synchronous::Full);
    let (raw, raw_outbox) = self::outbox(bench, &scratch, "raw", Synchronous::Full);
    let messages = Workload::new(keys).messages(bench.scaled(100_000));
    let mut sides = [
        Side::new("relay", || {
            fill(bench, &database, &outbox, &messages);
            let all = CancellationToken::new();
            let publisher = Null {
                expected: messages.len(),
                seen: AtomicUsize::new(0),
                all: all.clone(),
            };
            let relay = Relay::new(outbox.clone(), publisher)
                .batch_size(batch)
                .batch_bytes(64 << 20);
            let draining = relay.run_until(all.cancelled_owned());
            let took = timed(|| bench.runtime.block_on(draining).unwrap());
            assert_eq!(
                bench.runtime.block_on(left(&database)),
                0,
                "everything is drained"
            );
            took
        }),
        Side::new(DELETE, || {
            fill(bench, &raw, &raw_outbox, &messages);
            let took = timed(|| {
                bench
                    .runtime
                    .block_on(drain_raw(&raw, batch, messages.len()));
            });
            assert_eq!(
                bench.runtime.block_on(left(&raw)),
                0,
                "everything is drained"
            );
            took
        }),
    ];
    bench.compare(
        &Comparison::new(name, messages.len())
            .rounds(5)
            .target(DELETE, 0.5),
        &mut sides,
    );
}

async fn left(database: &Database) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM outbox")
        .fetch_one(database.reader())
        .await
        .unwrap()
}

/// Position, topic, key, envelope, payload.
type Row = (i64, String, Option<String>, String, Option<Vec<u8>>);

async fn drain_raw(database: &Database, batch: u32, expected: usize) {
    let mut seen = 0;
    while seen < expected {
        let mut tx = database.begin().await.unwrap();
        let rows: Vec<Row> = sqlx::query_as(
            "DELETE FROM outbox WHERE position IN (SELECT position FROM outbox ORDER BY position LIMIT $1 + 0) \
             RETURNING position, topic, key, envelope, payload",
        )
        .bind(batch)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        database.commit(tx).await.unwrap();
        seen += rows.len();
    }
}
