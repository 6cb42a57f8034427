//! Appends, loads and rebuilds, each beside the same statements by hand.

use std::{cell::RefCell, future::pending, sync::atomic::Ordering::Relaxed};

use async_trait::async_trait;
use futures_util::future::join_all;
use mainstay_benches::{Bench, Comparison, Side, timed};
use mainstay_database::Transactions as _;
use mainstay_eventstore::{
    Aggregate as _, EventStore as _, Loaded, Rebuild,
    store::{RebuildStore, SnapshotStore},
};

use crate::orders::{Order, OrderEvent, Sum, decoded, events_of};

const OURS: &str = "eventstore";
const BY_HAND: &str = "the same statements by hand";
const STREAMS: usize = 10_000;

/// The events of one stream.
pub(crate) const READ: &str =
    "SELECT version, kind, schema_version, payload, recorded_at FROM eventstore_events
     WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3 + 0";
/// The events of all streams.
pub(crate) const SCAN: &str =
    "SELECT stream, version, kind, schema_version, payload, recorded_at FROM eventstore_events
     WHERE stream > 'order/' AND stream < 'order0' ORDER BY stream, version";

/// A row of [`READ`]: version, kind, version of its schema, payload, time.
pub(crate) type Row = (i64, String, i32, String, i64);
/// A row of [`SCAN`]: the stream, and then as [`Row`].
pub(crate) type ScannedRow = (String, i64, String, i32, String, i64);

/// Statements without the library.
#[async_trait]
pub(crate) trait ByHand {
    type Connection: Send + 'static;

    async fn append(
        connection: &mut Self::Connection,
        stream: &str,
        version: i64,
        events: &[OrderEvent],
    );
    async fn read(connection: &mut Self::Connection, stream: &str) -> Vec<Row>;
    /// Gives each row to `visit` as it is read.
    async fn scan(connection: &mut Self::Connection, visit: &mut (dyn FnMut(ScannedRow) + Send));
}

/// Each comparison, on stores that `new` opens in databases of their own, for so many tasks.
pub(crate) fn compare<S, B>(bench: &Bench, backend: &str, new: impl Fn(usize) -> S)
where
    S: RebuildStore + SnapshotStore + Clone,
    B: ByHand<Connection = S::Connection>,
{
    for tasks in [1, 8, 32] {
        for batch in [1, 10] {
            append::<S, B>(bench, backend, (tasks, batch), &new);
        }
    }
    load::<S, B>(bench, backend, &new);
    rebuild::<S, B>(bench, backend, &new);
}

/// Each task has streams of its own. Versions are known to both sides, so nothing is loaded.
fn append<S, B>(
    bench: &Bench,
    backend: &str,
    (tasks, batch): (usize, usize),
    new: &impl Fn(usize) -> S,
) where
    S: RebuildStore + SnapshotStore,
    B: ByHand<Connection = S::Connection>,
{
    let name = format!("eventstore on {backend}: append of {batch}, {tasks} tasks");
    if !bench.wants(&name) {
        return;
    }
    let [ours, by_hand] = [(); 2].map(|()| new(tasks));
    let share = bench.scaled(400 / batch.min(4)).div_ceil(tasks);
    let mut known: Vec<Vec<Loaded<Order>>> = bench.runtime.block_on(async {
        let mut tx = ours.database().begin().await.unwrap();
        let mut known = Vec::new();
        for task in 0..tasks {
            let mut streams = Vec::new();
            for stream in 0..STREAMS / tasks {
                let id = format!("{task}-{stream}");
                let order = ours.create::<Order>(&mut tx, &id, events_of(0)).await;
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
                    let mut tx = ours.database().begin().await.unwrap();
                    let events = events_of(batch);
                    ours.append(&mut tx, &id, order, events).await.unwrap();
                    ours.database().commit(tx).await.unwrap();
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
                        let mut tx = by_hand.database().begin().await.unwrap();
                        let events = events_of(batch);
                        B::append(&mut tx, &name, streams[stream], &events).await;
                        by_hand.database().commit(tx).await.unwrap();
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
fn filled<S: RebuildStore + SnapshotStore>(
    bench: &Bench,
    new: &impl Fn(usize) -> S,
    streams: usize,
) -> S {
    let store = new(1);
    bench.runtime.block_on(async {
        for stream in 0..streams {
            let mut tx = store.database().begin().await.unwrap();
            let id = stream.to_string();
            let order = store.create::<Order>(&mut tx, &id, events_of(100)).await;
            assert_eq!(order.unwrap().version(), 100);
            store.database().commit(tx).await.unwrap();
        }
    });
    store
}

async fn load_by_hand<B: ByHand>(tx: &mut B::Connection, stream: &str) -> (Order, i64) {
    let (mut order, mut last) = (Order::default(), 0);
    for (version, kind, schema_version, payload, _) in B::read(tx, stream).await {
        order.apply(&decoded(&kind, schema_version, &payload));
        last = version;
    }
    (order, last)
}

fn load<S, B>(bench: &Bench, backend: &str, new: &impl Fn(usize) -> S)
where
    S: RebuildStore + SnapshotStore,
    B: ByHand<Connection = S::Connection>,
{
    let name = format!("eventstore on {backend}: load of 100 events");
    if !bench.wants(&name) {
        return;
    }
    let store = filled(bench, new, 20);
    let tx = bench.runtime.block_on(store.database().begin()).unwrap();
    let (tx, count) = (RefCell::new(tx), bench.scaled(200));
    let mut sides = [
        Side::new(OURS, || {
            let mut tx = tx.borrow_mut();
            timed(|| {
                bench.runtime.block_on(async {
                    for nth in 0..count {
                        let id = (nth % 20).to_string();
                        let order: Loaded<Order> = store.load(&mut tx, &id).await.unwrap();
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
                        let (order, version) = load_by_hand::<B>(&mut tx, &stream).await;
                        assert_eq!((version, order.cents), (100, 100));
                        assert!(order.letters > 0);
                    }
                });
            })
        }),
    ];
    let comparison = Comparison::new(&name, count).target(BY_HAND, 0.9);
    bench.compare(&comparison, &mut sides);
    drop(sides);
    let ended = store.database().commit(tx.into_inner());
    bench.runtime.block_on(ended).unwrap();
}

fn rebuild<S, B>(bench: &Bench, backend: &str, new: &impl Fn(usize) -> S)
where
    S: RebuildStore + SnapshotStore + Clone,
    B: ByHand<Connection = S::Connection>,
{
    const RAW: &str = "one SELECT, decoded";
    let name = format!("eventstore on {backend}: rebuild of a projection that writes nothing");
    if !bench.wants(&name) {
        return;
    }
    let streams = bench.scaled(500);
    let (store, count) = (filled(bench, new, streams), streams * 100);
    let wanted = u64::try_from(count).unwrap();
    let mut sides = [
        Side::new(OURS, || {
            let sum = Sum::default();
            let rebuild = Rebuild::new(store.clone(), sum.clone());
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
                    let mut tx = store.database().begin().await.unwrap();
                    let mut order = Order::default();
                    let mut visit = |(_, _, kind, schema_version, payload, _): ScannedRow| {
                        order.apply(&decoded(&kind, schema_version, &payload));
                    };
                    B::scan(&mut tx, &mut visit).await;
                    assert_eq!(order.cents, wanted);
                });
            })
        }),
    ];
    let comparison = Comparison::new(&name, count).rounds(11).target(RAW, 0.8);
    bench.compare(&comparison, &mut sides);
}
