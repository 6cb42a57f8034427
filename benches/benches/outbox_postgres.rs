//! The outbox in PostgreSQL beside the same rows written and drained by hand, on the server of `MAINSTAY_POSTGRES_URL`.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use mainstay_benches::{Bench, Comparison, Keys, Side, Workload, timed};
use mainstay_database::postgres::{self, Database};
use mainstay_messaging::{Key, Message, Publication, Publisher, envelope};
use mainstay_outbox::{
    Entry, Outbox as _, Relay,
    postgres::{Options, PostgresOutbox},
};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::{PgConnection, PgPool};
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
        fused(&bench, &server, connections);
    }
    wake_ups(&bench, &server, 32);
    for keys in [Keys::Uniform, Keys::Hot] {
        for batch in [100, 1_000] {
            drain(&bench, &server, keys, batch);
        }
    }
}

/// An outbox in a database of its own, which has the application's table, too.
struct Shop {
    pool: PgPool,
    outbox: PostgresOutbox,
    _server: TestDatabase,
}

fn shop(bench: &Bench, server: &Server, connections: u32) -> Shop {
    bench.runtime.block_on(async {
        let server = server.database().await.unwrap();
        let mut options = postgres::Options::default();
        options.max_connections = connections + 2;
        let database = Database::connect_with(&server.url(), options)
            .await
            .unwrap();
        let pool = database.pool().clone();
        sqlx::raw_sql(
            "CREATE TABLE orders (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA NOT NULL)",
        )
        .execute(&pool)
        .await
        .unwrap();
        let outbox = PostgresOutbox::open(database, Options::default())
            .await
            .unwrap();
        Shop {
            pool,
            outbox,
            _server: server,
        }
    })
}

/// Runs `work` on the share of each connection, all at once.
fn spread<'a, W: Future<Output = ()>>(
    bench: &Bench,
    messages: &'a [Message],
    connections: u32,
    work: impl Fn(&'a [Message]) -> W,
) {
    let share = messages.len().div_ceil(connections as usize);
    bench.runtime.block_on(futures_util::future::join_all(
        messages.chunks(share).map(work),
    ));
}

const BUSINESS: &str = "INSERT INTO orders (body) VALUES ($1) RETURNING id";
const BY_HAND: &str = "hand-written INSERT";
const BARE: &str = "bare write";
const SILENT: &str = "without wake-ups";
const DELETE: &str = "raw DELETE … RETURNING";

/// The application's own write.
async fn business(connection: &mut PgConnection, message: &Message) {
    sqlx::query(BUSINESS)
        .bind(message.payload.as_deref())
        .execute(connection)
        .await
        .unwrap();
}

/// What an application without the library would write.
async fn insert_by_hand(connection: &mut PgConnection, message: &Message) {
    sqlx::query(
        "INSERT INTO outbox (shard, topic, key, envelope, payload) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(0)
    .bind(message.topic.as_str())
    .bind(message.key.as_ref().map(Key::as_str))
    .bind(envelope::write(message))
    .bind(message.payload.as_deref())
    .execute(connection)
    .await
    .unwrap();
}

fn enqueue(bench: &Bench, server: &Server, connections: u32) {
    let name = format!("postgres: one row added to a transaction, {connections} connections");
    if !bench.wants(&name) {
        return;
    }
    let (ours, by_hand, bare) = (
        shop(bench, server, connections),
        shop(bench, server, connections),
        shop(bench, server, connections),
    );
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(operations(connections)));
    let mut sides = [
        Side::new("outbox", || {
            timed(|| {
                spread(
                    bench,
                    &messages,
                    connections,
                    async |share: &[Message]| {
                        for message in share {
                            let mut tx = ours.pool.begin().await.unwrap();
                            business(&mut tx, message).await;
                            ours.outbox.enqueue(&mut tx, message).await.unwrap();
                            tx.commit().await.unwrap();
                        }
                    },
                );
            })
        }),
        Side::new(BY_HAND, || {
            timed(|| {
                spread(
                    bench,
                    &messages,
                    connections,
                    async |share: &[Message]| {
                        for message in share {
                            let mut tx = by_hand.pool.begin().await.unwrap();
                            business(&mut tx, message).await;
                            insert_by_hand(&mut tx, message).await;
                            tx.commit().await.unwrap();
                        }
                    },
                );
            })
        }),
        Side::new("bare transaction", || {
            timed(|| {
                spread(
                    bench,
                    &messages,
                    connections,
                    async |share: &[Message]| {
                        for message in share {
                            let mut tx = bare.pool.begin().await.unwrap();
                            business(&mut tx, message).await;
                            tx.commit().await.unwrap();
                        }
                    },
                );
            })
        }),
    ];
    let comparison = Comparison::new(name, messages.len())
        .rounds(41)
        .target(BY_HAND, 0.95);
    bench.compare(&comparison, &mut sides);
}

/// A tenth of a second's worth, or so.
const fn operations(connections: u32) -> usize {
    match connections {
        1 => 200,
        2..=8 => 800,
        _ => 1_600,
    }
}

fn fused(bench: &Bench, server: &Server, connections: u32) {
    let name = format!("postgres: write and message in one statement, {connections} connections");
    if !bench.wants(&name) {
        return;
    }
    let (ours, bare) = (
        shop(bench, server, connections),
        shop(bench, server, connections),
    );
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(operations(connections)));
    let place = ours.outbox.fused(BUSINESS);
    let mut sides = [
        Side::new("fused", || {
            timed(|| {
                spread(
                    bench,
                    &messages,
                    connections,
                    async |share: &[Message]| {
                        for message in share {
                            let bind = |business| bind_body(business, message);
                            let query = place.query(message, bind).unwrap();
                            query.execute(&ours.pool).await.unwrap();
                        }
                    },
                );
            })
        }),
        Side::new(BARE, || {
            timed(|| {
                spread(
                    bench,
                    &messages,
                    connections,
                    async |share: &[Message]| {
                        for message in share {
                            let query = bind_body(sqlx::query(BUSINESS), message);
                            query.execute(&bare.pool).await.unwrap();
                        }
                    },
                );
            })
        }),
    ];
    let comparison = Comparison::new(name, messages.len())
        .rounds(41)
        .target(BARE, 0.87);
    bench.compare(&comparison, &mut sides);
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_body<'q>(business: Query<'q>, message: &Message) -> Query<'q> {
    business.bind(message.payload.as_deref())
}

/// What ringing after each commit costs the writers.
fn wake_ups(bench: &Bench, server: &Server, connections: u32) {
    let name = format!("postgres: wake-ups of other processes, {connections} writers");
    if !bench.wants(&name) {
        return;
    }
    let (loud, silent) = (
        shop(bench, server, connections),
        shop(bench, server, connections),
    );
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(operations(connections)));
    let write = async |shop: &Shop, share: &[Message]| {
        for message in share {
            let mut tx = shop.pool.begin().await.unwrap();
            business(&mut tx, message).await;
            shop.outbox.enqueue(&mut tx, message).await.unwrap();
            tx.commit().await.unwrap();
            shop.outbox.ring();
        }
    };
    let announcer = loud.outbox.clone();
    let shutdown = CancellationToken::new();
    let announcing = bench.runtime.spawn({
        let shutdown = shutdown.clone();
        async move { announcer.announce(shutdown).await }
    });
    let mut sides = [
        Side::new("with wake-ups", || {
            timed(|| spread(bench, &messages, connections, |share| write(&loud, share)))
        }),
        Side::new(SILENT, || {
            timed(|| {
                spread(bench, &messages, connections, |share| write(&silent, share));
            })
        }),
    ];
    let comparison = Comparison::new(name, messages.len())
        .rounds(41)
        .target(SILENT, 0.95);
    bench.compare(&comparison, &mut sides);
    shutdown.cancel();
    bench.runtime.block_on(announcing).unwrap();
}

/// Takes everything; says when all of it has come.
struct Null {
    expected: usize,
    seen: AtomicUsize,
    all: CancellationToken,
}

#[async_trait]
impl Publisher for Null {
    async fn publish(&self, messages: &[Message]) -> Vec<Publication> {
        let before = self.seen.fetch_add(messages.len(), Ordering::Relaxed);
        if before + messages.len() >= self.expected {
            self.all.cancel();
        }
        messages.iter().map(|_| Publication::Acknowledged).collect()
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
    let (ours, raw) = (shop(bench, server, 4), shop(bench, server, 4));
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
            let relay = Relay::new(Arc::new(ours.outbox.clone()), Arc::new(publisher))
                .batch(batch, 64 << 20);
            let took = timed(|| bench.runtime.block_on(relay.run(all)).unwrap());
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
