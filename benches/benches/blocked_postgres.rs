//! What messages that wait behind a refused one cost the others, on the server of `MAINSTAY_POSTGRES_URL`.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

#[path = "postgres/shop.rs"]
#[expect(dead_code, reason = "other benches write on many connections")]
mod shop;

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_benches::{Bench, Comparison, Keys, Side, Stopwatch, Took, Workload, timed};
use mainstay_messaging::{Error, Key, Message, Publisher, broker::PublishOutcome};
use mainstay_outbox::{Entry, Outbox as _, Relay};
use mainstay_testkit::postgres::Server;
use shop::Shop;
use tokio::sync::watch;

/// Messages that wait behind a refused one of their key.
const COUNT: usize = 100_000;

const NONE: &str = "none wait";
const MANY: &str = "100,000 wait behind one";

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of blocked keys") else {
        return;
    };
    one_by_one(&bench, &server);
    drain(&bench, &server);
}

/// Refuses the blocked key and takes everything else; says how much.
#[derive(Clone)]
struct Sorting {
    taken: Arc<watch::Sender<usize>>,
}

impl Sorting {
    fn new() -> Self {
        Self {
            taken: Arc::new(watch::Sender::new(0)),
        }
    }

    async fn until(&self, taken: usize) {
        let mut receiver = self.taken.subscribe();
        receiver.wait_for(|seen| *seen >= taken).await.unwrap();
    }
}

fn blocked() -> Key {
    Key::from_static("blocked")
}

#[async_trait]
impl Publisher for Sorting {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let blocked = Some(blocked());
        let (mut answers, mut taken) = (Vec::with_capacity(messages.len()), 0);
        let mut refused = false;
        for message in messages {
            answers.push(if message.key != blocked {
                taken += 1;
                PublishOutcome::Acknowledged
            } else if std::mem::replace(&mut refused, true) {
                PublishOutcome::Unknown(Error::NotTried)
            } else {
                PublishOutcome::Refused(Error::TooLarge { size: 2, limit: 1 })
            });
        }
        self.taken.send_modify(|seen| *seen += taken);
        answers
    }
}

/// An outbox with its relay's publisher.
struct Waiting {
    shop: Shop,
    publisher: Sorting,
}

impl Waiting {
    fn new(bench: &Bench, server: &Server, waiting: usize) -> Self {
        let shop = Shop::new(bench, server, 4);
        let publisher = Sorting::new();
        let mut messages = Workload::new(Keys::Hot).messages(waiting);
        for message in &mut messages {
            message.key = Some(blocked());
        }
        enqueue(bench, &shop, &messages);
        let side = Self { shop, publisher };
        if waiting > 0 {
            side.block(bench);
        }
        side
    }

    /// Lets the relay put the messages aside, and the server look at the tables as it does now and then.
    fn block(&self, bench: &Bench) {
        let set_aside = async {
            while count(&self.shop, "SELECT count(*) FROM outbox").await > 0 {
                tokio::task::yield_now().await;
            }
        };
        let relay = Relay::new(self.shop.outbox.clone(), self.publisher.clone());
        bench.runtime.block_on(relay.run_until(set_aside)).unwrap();
        bench.runtime.block_on(async {
            for sql in ["VACUUM ANALYZE outbox", "VACUUM ANALYZE outbox_deferred"] {
                sqlx::query(sql).execute(&self.shop.pool).await.unwrap();
            }
        });
    }
}

async fn count(shop: &Shop, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&shop.pool).await.unwrap()
}

fn enqueue(bench: &Bench, shop: &Shop, messages: &[Message]) {
    bench.runtime.block_on(async {
        for batch in messages.chunks(1_000) {
            let entries: Vec<Entry<'_>> = batch.iter().map(Entry::new).collect();
            let mut tx = shop.pool.begin().await.unwrap();
            shop.outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
            tx.commit().await.unwrap();
        }
    });
}

fn one_by_one(bench: &Bench, server: &Server) {
    let name = "postgres: from commit to publish of another key, one message at a time";
    if !bench.wants(name) {
        return;
    }
    let count = bench.scaled(200);
    let messages = Workload::new(Keys::Uniform).messages(count);
    let many = Waiting::new(bench, server, bench.scaled(COUNT));
    let none = Waiting::new(bench, server, 0);
    let relays = [&many, &none].map(|side| {
        let relay = Relay::new(side.shop.outbox.clone(), side.publisher.clone());
        bench.runtime.block_on(async { relay.spawn() })
    });
    let round = |side: &Waiting| {
        let mut total = Took::default();
        for message in &messages {
            total += bench.runtime.block_on(async {
                let taken = *side.publisher.taken.borrow();
                let mut tx = side.shop.pool.begin().await.unwrap();
                side.shop.outbox.enqueue(&mut tx, message).await.unwrap();
                tx.commit().await.unwrap();
                let stopwatch = Stopwatch::start();
                side.shop.outbox.notify();
                side.publisher.until(taken + 1).await;
                stopwatch.stop()
            });
        }
        total
    };
    let mut sides = [
        Side::new(MANY, || round(&many)),
        Side::new(NONE, || round(&none)),
    ];
    let comparison = Comparison::new(name, count).rounds(41).target(NONE, 0.9);
    bench.compare(&comparison, &mut sides);
    for relay in relays {
        bench.runtime.block_on(relay.shutdown()).unwrap();
    }
}

fn drain(bench: &Bench, server: &Server) {
    let name = "postgres: relay drain of other keys";
    if !bench.wants(name) {
        return;
    }
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(100_000));
    let many = Waiting::new(bench, server, bench.scaled(COUNT));
    let none = Waiting::new(bench, server, 0);
    let round = |side: &Waiting| {
        bench.runtime.block_on(async {
            let vacuum = sqlx::query("VACUUM outbox").execute(&side.shop.pool);
            vacuum.await.unwrap();
        });
        enqueue(bench, &side.shop, &messages);
        let all = *side.publisher.taken.borrow() + messages.len();
        let relay = Relay::new(side.shop.outbox.clone(), side.publisher.clone());
        let draining = relay.run_until(side.publisher.until(all));
        timed(|| bench.runtime.block_on(draining).unwrap())
    };
    let mut sides = [
        Side::new(MANY, || round(&many)),
        Side::new(NONE, || round(&none)),
    ];
    let comparison = Comparison::new(name, messages.len());
    let comparison = comparison.rounds(9).target(NONE, 0.9);
    bench.compare(&comparison, &mut sides);
}
