//! Event streams in SQLite beside the same statements by hand.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

#[path = "eventstore/orders.rs"]
mod orders;

use std::{
    cell::RefCell,
    future::pending,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use futures_util::{TryStreamExt as _, future::join_all};
use mainstay_benches::{Bench, Comparison, Scratch, Side, timed};
use mainstay_database::sqlite::{Database, Synchronous};
use mainstay_eventstore::{Aggregate as _, EventStore as _, Loaded, Rebuild, SqliteEventStore};
use orders::{Order, OrderEvent, Sum, decoded, encoded, events_of};
use sqlx::SqliteConnection;

const OURS: &str = "eventstore";
const BY_HAND: &str = "the same statements by hand";
const STREAMS: usize = 10_000;

const APPEND: &str =
    "INSERT INTO eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
     SELECT $1, $2 + 1, $3, $4, $5, CAST(unixepoch('subsec') * 1000000 AS INTEGER)
     WHERE (SELECT coalesce(max(version), 0) FROM eventstore_events WHERE stream = $1) = $2";
const APPEND_MANY: &str =
    "INSERT INTO eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
     SELECT $1, $2 + 1 + e.key, e.value ->> 0, e.value ->> 1, e.value ->> 2,
       CAST(unixepoch('subsec') * 1000000 AS INTEGER)
     FROM json_each($3) AS e
     WHERE (SELECT coalesce(max(version), 0) FROM eventstore_events WHERE stream = $1) = $2";

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    for tasks in [1, 8, 32] {
        for batch in [1, 10] {
            append(&bench, &scratch, tasks, batch);
        }
    }
    load(&bench, &scratch);
    rebuild(&bench, &scratch);
}

struct Service {
    database: Database,
    store: SqliteEventStore,
}

impl Service {
    /// Each has a file of its own.
    fn new(bench: &Bench, scratch: &Scratch, _tasks: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = NEXT.fetch_add(1, Relaxed).to_string();
        let database = scratch.database(&bench.runtime, &name, Synchronous::Full);
        let opening = SqliteEventStore::builder(&database).open();
        let store = bench.runtime.block_on(opening).unwrap();
        Self { database, store }
    }
}

async fn append_by_hand(
    tx: &mut SqliteConnection,
    stream: &str,
    version: i64,
    events: &[OrderEvent],
) {
    let encoded: Vec<_> = events.iter().map(encoded).collect();
    let appending = if let [(kind, payload)] = &*encoded {
        let append = sqlx::query(APPEND).bind(stream).bind(version);
        append.bind(*kind).bind(1_i32).bind(payload)
    } else {
        let rows: Vec<_> = encoded
            .iter()
            .map(|(kind, payload)| (kind, 1, payload))
            .collect();
        let rows = serde_json::to_string(&rows).unwrap();
        sqlx::query(APPEND_MANY)
            .bind(stream)
            .bind(version)
            .bind(rows)
    };
    let appended = appending.execute(tx).await.unwrap();
    assert!(appended.rows_affected() > 0);
}

type Row = (i64, String, i32, String, i64);

async fn load_by_hand(tx: &mut SqliteConnection, stream: &str) -> (Order, i64) {
    let read: &'static str =
        "SELECT version, kind, schema_version, payload, recorded_at FROM eventstore_events
         WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3";
    let rows: Vec<Row> = sqlx::query_as(read)
        .bind(stream)
        .bind(0_i64)
        .bind(i64::MAX)
        .fetch_all(tx)
        .await
        .unwrap();
    let (mut order, mut last) = (Order::default(), 0);
    for (version, kind, schema_version, payload, _) in rows {
        order.apply(&decoded(&kind, schema_version, &payload));
        last = version;
    }
    (order, last)
}

/// Each task has streams of its own. Versions are known to both sides, so nothing is loaded.
fn append(bench: &Bench, scratch: &Scratch, tasks: usize, batch: usize) {
    let name = format!("eventstore on SQLite: append of {batch}, {tasks} tasks");
    if !bench.wants(&name) {
        return;
    }
    let [ours, by_hand] = [(); 2].map(|()| Service::new(bench, scratch, tasks));
    let share = bench.scaled(400 / batch.min(4)).div_ceil(tasks);
    let mut known: Vec<Vec<Loaded<Order>>> = bench.runtime.block_on(async {
        let mut tx = ours.database.begin().await.unwrap();
        let mut known = Vec::new();
        for task in 0..tasks {
            let mut streams = Vec::new();
            for stream in 0..STREAMS / tasks {
                let id = format!("{task}-{stream}");
                let order = ours.store.create::<Order>(&mut tx, &id, events_of(0)).await;
                streams.push(order.unwrap());
            }
            known.push(streams);
        }
        known
    });
    let mut versions = vec![vec![0_i64; STREAMS / tasks]; tasks];
    let (mut ours_round, mut hand_round) = (0, 0);
    // As far apart as random ones, and the same on both sides.
    let stream_of = |nth: usize| nth.wrapping_mul(7_919) % (STREAMS / tasks);
    let mut sides = [
        Side::new(OURS, || {
            let first = ours_round * share;
            ours_round += 1;
            let work = known.iter_mut().map(async |streams| {
                for nth in first..first + share {
                    let order = &mut streams[stream_of(nth)];
                    let id = order.id().to_owned();
                    let mut tx = ours.database.begin().await.unwrap();
                    let events = events_of(batch);
                    ours.store
                        .append(&mut tx, &id, order, events)
                        .await
                        .unwrap();
                    ours.database.commit(tx).await.unwrap();
                }
            });
            timed(|| bench.runtime.block_on(join_all(work)))
        }),
        Side::new(BY_HAND, || {
            let first = hand_round * share;
            hand_round += 1;
            let work = versions
                .iter_mut()
                .enumerate()
                .map(async |(task, streams)| {
                    for nth in first..first + share {
                        let stream = stream_of(nth);
                        let name = format!("order/{task}-{stream}");
                        let mut tx = by_hand.database.begin().await.unwrap();
                        let events = events_of(batch);
                        append_by_hand(&mut tx, &name, streams[stream], &events).await;
                        by_hand.database.commit(tx).await.unwrap();
                        streams[stream] += i64::try_from(batch).unwrap();
                    }
                });
            timed(|| bench.runtime.block_on(join_all(work)))
        }),
    ];
    let comparison = Comparison::new(&name, share * tasks).target(BY_HAND, 0.95);
    bench.compare(&comparison, &mut sides);
}

/// `streams` streams of 100 events.
fn filled(bench: &Bench, scratch: &Scratch, streams: usize) -> Service {
    let service = Service::new(bench, scratch, 1);
    bench.runtime.block_on(async {
        for stream in 0..streams {
            let mut tx = service.database.begin().await.unwrap();
            let id = stream.to_string();
            let order = service
                .store
                .create::<Order>(&mut tx, &id, events_of(100))
                .await;
            assert_eq!(order.unwrap().version(), 100);
            service.database.commit(tx).await.unwrap();
        }
    });
    service
}

fn load(bench: &Bench, scratch: &Scratch) {
    let name = "eventstore on SQLite: load of 100 events";
    if !bench.wants(name) {
        return;
    }
    let service = filled(bench, scratch, 20);
    let tx = bench.runtime.block_on(service.database.begin()).unwrap();
    let (tx, count) = (RefCell::new(tx), bench.scaled(200));
    let mut sides = [
        Side::new(OURS, || {
            let mut tx = tx.borrow_mut();
            timed(|| {
                bench.runtime.block_on(async {
                    for nth in 0..count {
                        let id = (nth % 20).to_string();
                        let order: Loaded<Order> = service.store.load(&mut tx, &id).await.unwrap();
                        assert_eq!((order.version(), order.cents), (100, 100));
                    }
                });
            })
        }),
        Side::new(BY_HAND, || {
            let mut tx = tx.borrow_mut();
            timed(|| {
                bench.runtime.block_on(async {
                    for nth in 0..count {
                        let stream = format!("order/{}", nth % 20);
                        let (order, version) = load_by_hand(&mut tx, &stream).await;
                        assert_eq!((version, order.cents), (100, 100));
                        assert!(order.letters > 0);
                    }
                });
            })
        }),
    ];
    let comparison = Comparison::new(name, count).target(BY_HAND, 0.9);
    bench.compare(&comparison, &mut sides);
}

fn rebuild(bench: &Bench, scratch: &Scratch) {
    const RAW: &str = "one SELECT, decoded";
    let name = "eventstore on SQLite: rebuild of a projection that writes nothing";
    if !bench.wants(name) {
        return;
    }
    let streams = bench.scaled(500);
    let (service, count) = (filled(bench, scratch, streams), streams * 100);
    let all =
        "SELECT stream, version, kind, schema_version, payload, recorded_at FROM eventstore_events
         WHERE stream > 'order/' AND stream < 'order0' ORDER BY stream, version";
    let wanted = u64::try_from(count).unwrap();
    let mut sides = [
        Side::new(OURS, || {
            let sum = Sum::default();
            let rebuild = Rebuild::new(service.store.clone(), sum.clone());
            bench.runtime.block_on(rebuild.restart()).unwrap();
            timed(|| {
                let progress = bench.runtime.block_on(rebuild.run_until(pending()));
                assert!(progress.unwrap().is_done);
                assert_eq!(sum.0.load(Relaxed), wanted);
            })
        }),
        Side::new(RAW, || {
            timed(|| {
                bench.runtime.block_on(async {
                    let mut tx = service.database.begin().await.unwrap();
                    let mut rows = sqlx::query_as(all).fetch(&mut *tx);
                    let mut order = Order::default();
                    while let Some(row) = rows.try_next().await.unwrap() {
                        let (_, _, kind, schema_version, payload, _): (
                            String,
                            i64,
                            String,
                            i32,
                            String,
                            i64,
                        ) = row;
                        order.apply(&decoded(&kind, schema_version, &payload));
                    }
                    assert_eq!(order.cents, wanted);
                });
            })
        }),
    ];
    let comparison = Comparison::new(name, count).rounds(11).target(RAW, 0.8);
    bench.compare(&comparison, &mut sides);
}
