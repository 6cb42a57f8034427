//! How soon a relay in another process publishes what was committed, and what telling it costs the writers, on the
//! server of `MAINSTAY_POSTGRES_URL`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints what it finds and stops at the first error"
)]

#[path = "wakeup_postgres/another_process.rs"]
mod another_process;
#[path = "postgres/shop.rs"]
mod shop;

use std::{
    cell::RefCell,
    thread::{self, JoinHandle},
    time::Duration,
};

use another_process::{AnotherProcess, How, monotonic};
use hdrhistogram::Histogram;
use mainstay_benches::{Bench, Comparison, Keys, Side, Took, Workload, timed};
use mainstay_clock::{IdGenerator as _, SeededIds};
use mainstay_messaging::Message;
use mainstay_outbox::Outbox as _;
use mainstay_testkit::postgres::Server;
use shop::{Shop, business};
use sqlx::{Acquire as _, ConnectOptions as _};
use tokio::{runtime::Builder, time::sleep};
use tokio_util::sync::CancellationToken;

fn main() {
    if another_process::is_this_one() {
        return;
    }
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of wake-ups") else {
        return;
    };
    latency(&bench, &server);
    cost(&bench, &server, 32);
}

/// Tells other processes of commits for as long as it lives, from a thread of its own: the benches' runtime stands still
/// between rounds.
struct Announcing {
    shutdown: CancellationToken,
    thread: JoinHandle<()>,
}

impl Announcing {
    fn start(shop: &Shop) -> Self {
        let shutdown = CancellationToken::new();
        let (outbox, token) = (shop.outbox.clone(), shutdown.clone());
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(outbox.announce(token.cancelled_owned()));
        });
        Self { shutdown, thread }
    }

    fn stop(self) {
        self.shutdown.cancel();
        self.thread.join().unwrap();
    }
}

/// Where another process finds it.
fn url(shop: &Shop) -> String {
    shop.pool.connect_options().to_url_lossy().into()
}

const IN_THE_TRANSACTION: &str = "NOTIFY in the transaction, by hand";
const SILENT: &str = "without wake-ups";

/// From the answer to a commit to its message's publication, at 100 commits a second that come as they like.
fn latency(bench: &Bench, server: &Server) {
    let name = "postgres: from commit to a relay in another process, 100/s";
    if !bench.wants(name) {
        return;
    }
    let [ours, by_hand] = [(); 2].map(|()| Shop::new(bench, server, 1));
    let mut relay = AnotherProcess::start(&url(&ours), How::Relay);
    let mut listener = AnotherProcess::start(&url(&by_hand), How::ByHand);
    let announcing = Announcing::start(&ours);
    let count = bench.scaled(300);
    let workload = Workload::new(Keys::Uniform);
    let draws = SeededIds::new(11);
    let times = [(); 2].map(|()| RefCell::new(Histogram::<u64>::new(3).unwrap()));
    {
        let mut sides = [
            Side::new("mainstay", || {
                let messages = workload.messages(count);
                let committed =
                    bench
                        .runtime
                        .block_on(at_leisure(&messages, &draws, async |message| {
                            let mut tx = ours.pool.begin().await.unwrap();
                            business(&mut tx, message).await;
                            ours.outbox.enqueue(&mut tx, message).await.unwrap();
                            tx.commit().await.unwrap();
                            let answered = monotonic();
                            ours.outbox.notify();
                            answered
                        }));
                waited(&times[0], &messages, &committed, &mut relay)
            }),
            Side::new(IN_THE_TRANSACTION, || {
                let messages = workload.messages(count);
                let committed =
                    bench
                        .runtime
                        .block_on(at_leisure(&messages, &draws, async |message| {
                            let mut connection = by_hand.pool.acquire().await.unwrap();
                            let mut tx = connection.begin().await.unwrap();
                            business(&mut tx, message).await;
                            by_hand.outbox.enqueue(&mut tx, message).await.unwrap();
                            sqlx::query(another_process::NOTIFY)
                                .execute(&mut *tx)
                                .await
                                .unwrap();
                            tx.commit().await.unwrap();
                            monotonic()
                        }));
                waited(&times[1], &messages, &committed, &mut listener)
            }),
        ];
        bench.compare(&Comparison::new(name, count).rounds(11), &mut sides);
    }
    for (name, times) in ["mainstay", IN_THE_TRANSACTION].iter().zip(&times) {
        let times = times.borrow();
        let at = |quantile| times.value_at_quantile(quantile);
        println!(
            "  {name:<36} p50 {} µs, p99 {} µs, longest {} µs, of {}",
            at(0.5),
            at(0.99),
            times.max(),
            times.len()
        );
    }
    announcing.stop();
    relay.stop();
    listener.stop();
}

/// Commits one after the other, after pauses drawn as those of independent customers: 10 ms in the mean. When each
/// commit was answered.
async fn at_leisure(
    messages: &[Message],
    draws: &SeededIds,
    commit: impl AsyncFn(&Message) -> Duration,
) -> Vec<Duration> {
    let mut answered = Vec::with_capacity(messages.len());
    let mut next = monotonic();
    for message in messages {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are draw enough")]
        let uniform = (draws.random() >> 11) as f64 / (1_u64 << 53) as f64;
        next += Duration::from_millis(10).mul_f64(-(1.0 - uniform).ln());
        sleep(next.saturating_sub(monotonic())).await;
        answered.push(commit(message).await);
    }
    answered
}

/// The sum of what the messages waited for their publication.
fn waited(
    times: &RefCell<Histogram<u64>>,
    messages: &[Message],
    committed: &[Duration],
    other: &mut AnotherProcess,
) -> Took {
    let mut total = Took::default();
    for (message, committed) in messages.iter().zip(committed) {
        // It may be faster than the answer.
        let wall = other.published(message).saturating_sub(*committed);
        let micros = u64::try_from(wall.as_micros()).unwrap();
        times.borrow_mut().record(micros).unwrap();
        total += Took {
            wall,
            processor: Duration::ZERO,
        };
    }
    total
}

/// What a notification after each commit costs the writers, while another process listens.
fn cost(bench: &Bench, server: &Server, writers: u32) {
    let name = format!("postgres: wake-ups of another process, {writers} writers");
    if !bench.wants(&name) {
        return;
    }
    let [loud, silent] = [(); 2].map(|()| Shop::new(bench, server, writers));
    let listening = AnotherProcess::start(&url(&loud), How::Listening);
    let announcing = Announcing::start(&loud);
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(3_200));
    let round = |shop: &Shop| {
        timed(|| {
            shop.write_all(
                bench,
                writers,
                &messages,
                &async |shop: &Shop, message: &Message| {
                    let mut tx = shop.pool.begin().await.unwrap();
                    business(&mut tx, message).await;
                    shop.outbox.enqueue(&mut tx, message).await.unwrap();
                    tx.commit().await.unwrap();
                    shop.outbox.notify();
                },
            )
        })
    };
    let mut sides = [
        Side::new("with wake-ups", || round(&loud)),
        Side::new(SILENT, || round(&silent)),
    ];
    let comparison = Comparison::new(name, messages.len())
        .rounds(41)
        .target(SILENT, 0.95);
    bench.compare(&comparison, &mut sides);
    announcing.stop();
    listening.stop();
}
