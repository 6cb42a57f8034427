//! The outbox in PostgreSQL beside the same rows written and drained by hand, on the server of `MAINSTAY_POSTGRES_URL`.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

#[path = "postgres/shop.rs"]
mod shop;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mainstay_benches::{Bench, Comparison, Keys, Side, Workload, timed};
use mainstay_messaging::{Key, Message, Publisher, broker::PublishOutcome, envelope};
use mainstay_outbox::{Entry, Outbox as _, Relay};
use mainstay_testkit::postgres::Server;
use shop::{Shop, business};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of the outbox") else {
        return;
    };
    for connections in [1, 8, 32] {
        enqueue(&bench, &server, connections);
        enqueue_with(&bench, &server, connections);
    }
    for keys in [Keys::Uniform, Keys::Hot] {
        for batch in [100, 1_000] {
            drain(&bench, &server, keys, batch);
        }
    }
}

const BY_HAND: &str = "hand-written INSERT";
const BOTH_BY_HAND: &str = "both by hand";
const BARE: &str = "bare write";
const DELETE: &str = "raw DELETE … RETURNING";

/// What an application without the library would write.
async fn insert_by_hand(connection: &mut PgConnection, message: &Message) {
    let insert = sqlx::query(
        "INSERT INTO outbox (shard, topic, key, envelope, payload) VALUES ($1, $2, $3, $4, $5)",
    );
    let query = bind_row(insert, message);
    query.execute(connection).await.unwrap();
}

fn bind_row<'q>(query: Query<'q>, message: &Message) -> Query<'q> {
    query
        .bind(0)
        .bind(message.topic.as_str())
        .bind(message.key.as_ref().map(Key::as_str))
        .bind(envelope::write(message))
        .bind(message.payload.as_deref())
}

fn enqueue(bench: &Bench, server: &Server, writers: u32) {
    let name = format!("postgres: one row added to a transaction, {writers} connections");
    if !bench.wants(&name) {
        return;
    }
    let [ours, by_hand, bare] = [(); 3].map(|()| Shop::new(bench, server, writers));
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(operations(writers)));
    let round = |shop: &Shop, how: Added| {
        shop.write_all(
            bench,
            writers,
            &messages,
            &async |shop: &Shop, message: &Message| {
                let mut tx = shop.pool.begin().await.unwrap();
                business(&mut tx, message).await;
                match how {
                    Added::Enqueued => shop.outbox.enqueue(&mut tx, message).await.unwrap(),
                    Added::ByHand => insert_by_hand(&mut tx, message).await,
                    Added::None => {}
                }
                tx.commit().await.unwrap();
            },
        )
    };
    let mut sides = [
        Side::new("outbox", || round(&ours, Added::Enqueued)),
        Side::new(BY_HAND, || round(&by_hand, Added::ByHand)),
        Side::new("bare transaction", || round(&bare, Added::None)),
    ];
    let comparison = Comparison::new(name, messages.len())
        .rounds(41)
        .target(BY_HAND, 0.95);
    bench.compare(&comparison, &mut sides);
}

/// Where the outbox row of a transaction comes from.
#[derive(Clone, Copy)]
enum Added {
    Enqueued,
    ByHand,
    None,
}

/// A quarter of a second's worth, or so.
const fn operations(writers: u32) -> usize {
    match writers {
        1 => 400,
        2..=8 => 2_000,
        _ => 3_200,
    }
}

fn enqueue_with(bench: &Bench, server: &Server, writers: u32) {
    let name = format!("postgres: write and message in one statement, {writers} connections");
    if !bench.wants(&name) {
        return;
    }
    let [ours, by_hand, bare] = [(); 3].map(|()| Shop::new(bench, server, writers));
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(operations(writers)));
    let combined = ours.outbox.enqueue_with(Shop::WRITE);
    let mut sides = [
        Side::new("enqueue_with", || {
            ours.write_all(
                bench,
                writers,
                &messages,
                &async |shop: &Shop, message: &Message| {
                    let bind = |write| bind_body(write, message);
                    let query = combined.query(message, bind).unwrap();
                    query.execute(&shop.pool).await.unwrap();
                },
            )
        }),
        Side::new(BOTH_BY_HAND, || {
            by_hand.write_all(
                bench,
                writers,
                &messages,
                &async |shop: &Shop, message: &Message| {
                    let write = sqlx::query(
                        "WITH business AS (INSERT INTO orders (body) VALUES ($1) RETURNING id),
                     enqueued AS (INSERT INTO outbox (shard, topic, key, envelope, payload)
                                  SELECT $2, $3, $4, $5, $6 FROM business)
                     SELECT * FROM business",
                    );
                    let query = bind_row(bind_body(write, message), message);
                    query.execute(&shop.pool).await.unwrap();
                },
            )
        }),
        Side::new(BARE, || {
            bare.write_all(
                bench,
                writers,
                &messages,
                &async |shop: &Shop, message: &Message| {
                    let write = bind_body(sqlx::query(Shop::WRITE), message);
                    write.execute(&shop.pool).await.unwrap();
                },
            )
        }),
    ];
    let comparison = Comparison::new(name, messages.len())
        .rounds(41)
        .target(BARE, 0.87);
    bench.compare(&comparison, &mut sides);
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_body<'q>(query: Query<'q>, message: &Message) -> Query<'q> {
    query.bind(message.payload.as_deref())
}

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

/// Rows waiting to be drained, in a table as a busy outbox leaves it: vacuumed now and then.
fn fill(bench: &Bench, shop: &Shop, messages: &[Message]) {
    bench.runtime.block_on(async {
        sqlx::query("VACUUM outbox")
            .execute(&shop.pool)
            .await
            .unwrap();
        for batch in messages.chunks(1_000) {
            let entries: Vec<Entry<'_>> = batch.iter().map(Entry::new).collect();
            let mut tx = shop.pool.begin().await.unwrap();
            let added = shop.outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
            assert_eq!(added.len(), batch.len());
            tx.commit().await.unwrap();
        }
    });
}

fn drain(bench: &Bench, server: &Server, keys: Keys, batch: u32) {
    let name =
        format!("postgres: relay drain into a null publisher, batches of {batch}, {keys:?} keys");
    if !bench.wants(&name) {
        return;
    }
    let [ours, raw] = [(); 2].map(|()| Shop::new(bench, server, 4));
    let messages = Workload::new(keys).messages(bench.scaled(100_000));
    let mut sides = [
        Side::new("relay", || {
            fill(bench, &ours, &messages);
            let all = CancellationToken::new();
            let publisher = Null {
                expected: messages.len(),
                seen: AtomicUsize::new(0),
                all: all.clone(),
            };
            let relay = Relay::new(ours.outbox.clone(), publisher)
                .batch_size(batch)
                .batch_bytes(64 << 20);
            let draining = relay.run_until(all.cancelled_owned());
            let took = timed(|| bench.runtime.block_on(draining).unwrap());
            assert_eq!(
                bench.runtime.block_on(left(&ours)),
                0,
                "everything is drained"
            );
            took
        }),
        Side::new(DELETE, || {
            fill(bench, &raw, &messages);
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

async fn left(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM outbox")
        .fetch_one(&shop.pool)
        .await
        .unwrap()
}

/// Position, topic, key, envelope, payload.
type Row = (i64, String, Option<String>, String, Option<Vec<u8>>);

/// As durable as the relay's acknowledgements.
async fn drain_raw(shop: &Shop, batch: u32, expected: usize) {
    let mut seen = 0;
    while seen < expected {
        let begin = "BEGIN; SET LOCAL synchronous_commit = off";
        let mut tx = shop.pool.begin_with(begin).await.unwrap();
        let rows: Vec<Row> = sqlx::query_as(
            "DELETE FROM outbox WHERE ctid = ANY (ARRAY(
               SELECT ctid FROM outbox WHERE shard = 0 ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED))
             RETURNING position, topic, key, envelope, payload",
        )
        .bind(i64::from(batch))
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        seen += rows.len();
    }
}
