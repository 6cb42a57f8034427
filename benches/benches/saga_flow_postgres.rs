//! Sagas of four remote steps from start to end: two services with a database each, relays, workers
//! and the SQLite broker between them; beside a loop by hand that calls the participant directly.
//! On the server of `MAINSTAY_POSTGRES_URL`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::future_not_send,
    reason = "a bench prints what it finds and stops at the first error, and has one thread"
)]

#[path = "saga/by_hand.rs"]
mod by_hand;
#[path = "saga/flow.rs"]
mod flow;

use std::{cell::Cell, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream};
use hdrhistogram::Histogram;
use mainstay_benches::{Bench, Comparison, Scratch, Side, Stopwatch, timed};
use mainstay_testkit::postgres::Server;

use by_hand::ByHand;
use flow::Flow;

const OURS: &str = "saga";
const BY_HAND: &str = "a loop by hand";
/// Sagas at once.
const AT_ONCE: usize = 64;
/// One order in so many is refused by the second step, and its first is undone.
const REFUSED: usize = 100;

/// Carries out orders.
trait Shop {
    /// Waits until all steps of the order are done, or undone.
    async fn carry_out(&self, order: usize);
}

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of sagas") else {
        return;
    };
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let flow = bench
        .runtime
        .block_on(Flow::start(&server, &scratch.path("log.db")));
    let by_hand = bench.runtime.block_on(ByHand::start(&server));
    throughput(&bench, &flow, &by_hand);
    latency(&bench, OURS, &flow);
    latency(&bench, BY_HAND, &by_hand);
    bench.runtime.block_on(flow.stop());
}

fn throughput(bench: &Bench, flow: &Flow, by_hand: &ByHand) {
    let name = format!("sagas of four remote steps, {AT_ONCE} at once, one in {REFUSED} refused");
    if !bench.wants(&name) {
        return;
    }
    let count = bench.scaled(2_000);
    let used = [(); 2].map(|()| Cell::new(Duration::ZERO));
    let rounds = Cell::new(0);
    let mut sides = [
        Side::new(OURS, || {
            rounds.set(rounds.get() + 1);
            let took = timed(|| bench.runtime.block_on(carry_out(flow, count)));
            used[0].set(used[0].get() + took.processor);
            took
        }),
        Side::new(BY_HAND, || {
            let took = timed(|| bench.runtime.block_on(carry_out(by_hand, count)));
            used[1].set(used[1].get() + took.processor);
            took
        }),
    ];
    // The fastest of the Rust peers.
    let comparison = Comparison::new(&name, count).target(BY_HAND, 0.43);
    bench.compare(&comparison.rounds(9), &mut sides);
    drop(sides);
    let sagas = u32::try_from(count * rounds.get()).unwrap();
    for (name, used) in [OURS, BY_HAND].into_iter().zip(&used) {
        println!(
            "  {name}: {:?} of this process's processor time a saga",
            used.get() / sagas
        );
    }
}

/// As many at once as there may be.
async fn carry_out(shop: &impl Shop, count: usize) {
    let orders = stream::iter(0..count).map(|order| shop.carry_out(order));
    orders.buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// 20 sagas a second, each from its intended start.
fn latency(bench: &Bench, side: &str, shop: &impl Shop) {
    let name = format!("latency of {side}");
    if !bench.wants(&name) {
        return;
    }
    let times = bench.runtime.block_on(async {
        let orders = (0..bench.scaled(1_000)).map(async |order| {
            let intended = Duration::from_millis(50) * u32::try_from(order).unwrap();
            tokio::time::sleep(intended).await;
            let stopwatch = Stopwatch::start();
            shop.carry_out(order).await;
            stopwatch.stop().wall
        });
        join_all(orders).await
    });
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    for time in times {
        histogram
            .record(u64::try_from(time.as_micros()).unwrap())
            .unwrap();
    }
    let at = |quantile| histogram.value_at_quantile(quantile);
    println!(
        "\n{side}, 20 sagas a second: p50 {} µs, p99 {} µs, longest {} µs, of {}",
        at(0.5),
        at(0.99),
        histogram.max(),
        histogram.len()
    );
}
