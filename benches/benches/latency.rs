//! How long after a commit its message is in a consumer's hands: outbox, relay, broker and consumer in one process.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints what it finds and stops at the first error"
)]

use std::cell::{Cell, RefCell};

use hdrhistogram::Histogram;
use mainstay_benches::{Bench, Comparison, Keys, Scratch, Side, Stopwatch, Took, Workload};
use mainstay_database::sqlite::{Database, Synchronous};
use mainstay_messaging::{
    Consumer, Message,
    broker::{ConsumerEvent, Content},
    envelope,
    sqlite::{Broker, LogConsumer},
};
use mainstay_outbox::{Outbox as _, Relay, SqliteOutbox};

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    for notified in [true, false] {
        hand_over(&bench, notified);
    }
}

fn hand_over(bench: &Bench, notified: bool) {
    let how = if notified {
        "the commit notifies the relay"
    } else {
        "nobody notifies the relay"
    };
    let name = format!("from commit to delivery, one message at a time, {how}, FULL");
    if !bench.wants(&name) {
        return;
    }
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let service = scratch.database(&bench.runtime, "service", Synchronous::Full);
    let log = scratch.database(&bench.runtime, "log", Synchronous::Full);
    let raw = Raw::new(bench, &scratch);
    let (outbox, broker) = bench.runtime.block_on(async {
        let broker = Broker::builder_on(log).open().await.unwrap();
        broker.create_topic(Workload::topic(), 8).await.unwrap();
        let outbox = SqliteOutbox::builder(&service).open().await.unwrap();
        (outbox, broker)
    });
    // The outbox knows nothing of commits of another handle on the file.
    let service = if notified {
        service
    } else {
        scratch.database(&bench.runtime, "service", Synchronous::Full)
    };
    let messages = Workload::new(Keys::Uniform).messages(bench.scaled(5_000) * 2);
    let count = bench.scaled(50);
    let next = Cell::new(0);
    let take = || {
        let from = next.get();
        next.set((from + count) % (messages.len() - count));
        &messages[from..from + count]
    };
    let (ours_times, raw_times) = (RefCell::new(histogram()), RefCell::new(histogram()));

    let relay = Relay::new(outbox.clone(), broker.publisher());
    let relay = bench.runtime.block_on(async { relay.spawn() });
    let joining = broker.consumer("billing").subscribe([Workload::topic()]);
    let consumer = RefCell::new(bench.runtime.block_on(joining).unwrap());
    {
        let mut sides = [
            Side::new("mainstay", || {
                let mut consumer = consumer.borrow_mut();
                let mut total = Took::default();
                for message in take() {
                    let took = bench.runtime.block_on(async {
                        let mut tx = service.begin().await.unwrap();
                        outbox.enqueue(&mut tx, message).await.unwrap();
                        service.commit(tx).await.unwrap();
                        let stopwatch = Stopwatch::start();
                        receive(&mut consumer, message).await;
                        stopwatch.stop()
                    });
                    record(&ours_times, took);
                    total += took;
                }
                total
            }),
            Side::new("raw read, append, read", || {
                let mut total = Took::default();
                for message in take() {
                    let took = bench.runtime.block_on(raw.hand_over(message));
                    record(&raw_times, took);
                    total += took;
                }
                total
            }),
        ];
        bench.compare(&Comparison::new(name, count), &mut sides);
    }
    print("mainstay", &ours_times.borrow());
    print("raw read, append, read", &raw_times.borrow());
    bench.runtime.block_on(relay.shutdown()).unwrap();
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).unwrap()
}

fn record(histogram: &RefCell<Histogram<u64>>, took: Took) {
    let micros = u64::try_from(took.wall.as_micros()).unwrap();
    histogram.borrow_mut().record(micros).unwrap();
}

fn print(name: &str, histogram: &Histogram<u64>) {
    let at = |quantile| histogram.value_at_quantile(quantile);
    println!(
        "  {name:<24} p50 {} µs, p99 {} µs, longest {} µs, of {}",
        at(0.5),
        at(0.99),
        histogram.max(),
        histogram.len()
    );
}

async fn receive(consumer: &mut LogConsumer, message: &Message) {
    loop {
        let ConsumerEvent::Deliveries(deliveries) = consumer.next().await.unwrap() else {
            continue;
        };
        let is_it = |content: &Content| matches!(content, Content::Message(found) if found.id == message.id);
        if deliveries.iter().any(|delivery| is_it(&delivery.content)) {
            return;
        }
    }
}

/// The least that a durable hand-over through a second file can be: read the row, append it, read it there.
struct Raw {
    service: Database,
    log: Database,
}

impl Raw {
    fn new(bench: &Bench, scratch: &Scratch) -> Self {
        let open = |name| {
            let database = scratch.database(&bench.runtime, name, Synchronous::Full);
            bench.runtime.block_on(async {
                let mut tx = database.begin().await.unwrap();
                sqlx::query("CREATE TABLE rows (id INTEGER PRIMARY KEY, envelope TEXT NOT NULL, payload BLOB) STRICT")
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                database.commit(tx).await.unwrap();
            });
            database
        };
        Self {
            service: open("raw-service"),
            log: open("raw-log"),
        }
    }

    async fn hand_over(&self, message: &Message) -> Took {
        let id = insert(
            &self.service,
            &envelope::write(message),
            message.payload.as_deref(),
        )
        .await;
        let stopwatch = Stopwatch::start();
        let (envelope, payload) = select(&self.service, id).await;
        let id = insert(&self.log, &envelope, payload.as_deref()).await;
        select(&self.log, id).await;
        stopwatch.stop()
    }
}

async fn insert(database: &Database, envelope: &str, payload: Option<&[u8]>) -> i64 {
    let mut tx = database.begin().await.unwrap();
    let inserted = sqlx::query("INSERT INTO rows (envelope, payload) VALUES ($1, $2)")
        .bind(envelope)
        .bind(payload)
        .execute(&mut *tx)
        .await
        .unwrap();
    database.commit(tx).await.unwrap();
    inserted.last_insert_rowid()
}

async fn select(database: &Database, id: i64) -> (String, Option<Vec<u8>>) {
    sqlx::query_as("SELECT envelope, payload FROM rows WHERE id = $1")
        .bind(id)
        .fetch_one(database.reader())
        .await
        .unwrap()
}
