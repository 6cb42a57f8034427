//! What the library itself costs per message, beyond the statement: processor time and allocations.
//!
//! All statements of a round share one transaction that is rolled back at its end, so the disk has no part in it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints what it finds and stops at the first error"
)]

use std::{alloc::System, cell::Cell, sync::LazyLock, time::Duration};

use mainstay_benches::{Bench, Comparison, Keys, Scratch, Side, Took, Workload, timed};
use mainstay_database::sqlite::{Database, Synchronous, Transaction};
use mainstay_inbox::{Inbox as _, SqliteInbox};
use mainstay_messaging::{
    Delivery, Group, Key, Message, Partition, Position, broker::Content, envelope,
};
use mainstay_outbox::{Entry, Outbox as _, SqliteOutbox};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static CONSUMER: LazyLock<Group> = LazyLock::new(|| Group::from_static("billing"));
const MESSAGES: usize = 2_000;
const BATCH: usize = 1_000;

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let file = File::new(&bench, &scratch);
    file.enqueue(&bench);
    file.enqueue_batch(&bench);
    file.admit(&bench);
    file.admit_batch(&bench);
    envelopes(&bench, &file.messages);
}

/// Counts what one side allocates, in all threads: those of SQLite's driver, too. C code is not counted.
#[derive(Default)]
struct Meter {
    allocations: Cell<usize>,
    bytes: Cell<usize>,
    messages: Cell<usize>,
    time: Cell<Duration>,
}

impl Meter {
    fn measure(&self, messages: usize, work: impl FnOnce()) -> Took {
        let region = Region::new(ALLOCATOR);
        let took = timed(work);
        let change = region.change();
        self.allocations
            .set(self.allocations.get() + change.allocations);
        self.bytes.set(self.bytes.get() + change.bytes_allocated);
        self.messages.set(self.messages.get() + messages);
        self.time.set(self.time.get() + took.processor);
        took
    }

    #[expect(clippy::cast_precision_loss, reason = "figures with three digits")]
    fn per_message(&self) -> [f64; 3] {
        let messages = self.messages.get() as f64;
        [
            self.time.get().as_nanos() as f64 / messages,
            self.allocations.get() as f64 / messages,
            self.bytes.get() as f64 / messages,
        ]
    }
}

fn print(ours: &Meter, raw: &Meter) {
    let ([time, allocations, bytes], [raw_time, raw_allocations, raw_bytes]) =
        (ours.per_message(), raw.per_message());
    println!("  per message: ours {time:.0} ns, {allocations:.1} allocations, {bytes:.0} bytes");
    println!(
        "  per message: raw  {raw_time:.0} ns, {raw_allocations:.1} allocations, {raw_bytes:.0} bytes"
    );
    println!(
        "  overhead     {:+.0} ns, {:+.1} allocations, {:+.0} bytes",
        time - raw_time,
        allocations - raw_allocations,
        bytes - raw_bytes
    );
}

/// A file with an outbox and an inbox in which nothing is ever committed.
struct File {
    database: Database,
    outbox: SqliteOutbox,
    inbox: SqliteInbox,
    messages: Vec<Message>,
    envelopes: Vec<String>,
    deliveries: Vec<Delivery>,
}

impl File {
    fn new(bench: &Bench, scratch: &Scratch) -> Self {
        let database = scratch.database(&bench.runtime, "overhead", Synchronous::Full);
        let messages = Workload::new(Keys::Uniform).messages(bench.scaled(MESSAGES));
        let partition = Partition {
            topic: Workload::topic(),
            number: 0,
        };
        let delivery = |(offset, message): (i64, &Message)| Delivery {
            position: Position {
                partition: partition.clone(),
                offset,
            },
            content: Content::Message(message.clone()),
        };
        let (outbox, inbox) = bench.runtime.block_on(async {
            let outbox = SqliteOutbox::builder(&database).open().await.unwrap();
            let inbox = SqliteInbox::builder(&database).open().await.unwrap();
            (outbox, inbox)
        });
        Self {
            outbox,
            inbox,
            envelopes: messages.iter().map(envelope::write).collect(),
            deliveries: (0..).zip(&messages).map(delivery).collect(),
            messages,
            database,
        }
    }

    /// A round whose writes are rolled back; only `work` is measured.
    fn round(
        &self,
        bench: &Bench,
        meter: &Meter,
        work: impl AsyncFnOnce(&mut Transaction),
    ) -> Took {
        let mut tx = bench.runtime.block_on(self.database.begin()).unwrap();
        let took = meter.measure(self.messages.len(), || {
            bench.runtime.block_on(work(&mut tx));
        });
        bench.runtime.block_on(tx.rollback()).unwrap();
        took
    }

    fn compare<O, R>(&self, bench: &Bench, name: &str, raw_name: &'static str, ours: &O, raw: &R)
    where
        O: AsyncFn(&mut Transaction),
        R: AsyncFn(&mut Transaction),
    {
        if !bench.wants(name) {
            return;
        }
        let (our_meter, raw_meter) = (Meter::default(), Meter::default());
        let mut sides = [
            Side::new("mainstay", || self.round(bench, &our_meter, ours)),
            Side::new(raw_name, || self.round(bench, &raw_meter, raw)),
        ];
        bench.compare(&Comparison::new(name, self.messages.len()), &mut sides);
        print(&our_meter, &raw_meter);
    }

    fn enqueue(&self, bench: &Bench) {
        let raw = async |tx: &mut Transaction| {
            for (message, envelope) in self.messages.iter().zip(&self.envelopes) {
                sqlx::query("INSERT INTO outbox (shard, topic, key, envelope, payload) VALUES ($1, $2, $3, $4, $5)")
                    .bind(0)
                    .bind(message.topic.as_str())
                    .bind(message.key.as_ref().map(Key::as_str))
                    .bind(envelope)
                    .bind(message.payload.as_deref())
                    .execute(&mut **tx)
                    .await
                    .unwrap();
            }
        };
        let ours = async |tx: &mut Transaction| {
            for message in &self.messages {
                self.outbox.enqueue(tx, message).await.unwrap();
            }
        };
        self.compare(
            bench,
            "overhead of enqueue",
            "hand-written INSERT",
            &ours,
            &raw,
        );
    }

    fn enqueue_batch(&self, bench: &Bench) {
        let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
        let rows: Vec<_> = self
            .messages
            .iter()
            .zip(&self.envelopes)
            .map(|(message, envelope)| {
                let key = message.key.as_ref().map(Key::as_str);
                (
                    message.topic.as_str(),
                    key,
                    envelope,
                    text(message.payload.as_deref().unwrap()),
                )
            })
            .collect();
        let raw = async |tx: &mut Transaction| {
            for batch in rows.chunks(BATCH) {
                sqlx::query(
                    "INSERT INTO outbox (shard, topic, key, envelope, payload) \
                     SELECT 0, value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS BLOB) FROM json_each($1)",
                )
                .bind(serde_json::to_string(batch).unwrap())
                .execute(&mut **tx)
                .await
                .unwrap();
            }
        };
        let ours = async |tx: &mut Transaction| {
            for batch in self.messages.chunks(BATCH) {
                let entries: Vec<Entry<'_>> = batch.iter().map(Entry::new).collect();
                let added = self.outbox.enqueue_batch(tx, &entries).await.unwrap();
                assert_eq!(added.len(), batch.len());
            }
        };
        self.compare(
            bench,
            "overhead of enqueue_batch of 1,000",
            "raw JSON-set INSERT",
            &ours,
            &raw,
        );
    }

    fn admit(&self, bench: &Bench) {
        let raw = async |tx: &mut Transaction| {
            for (delivery, message) in self.deliveries.iter().zip(&self.messages) {
                sqlx::query(
                    "INSERT OR IGNORE INTO inbox_processed (consumer, source, id, topic, partition, offset) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(CONSUMER.as_str())
                .bind(message.source.as_str())
                .bind(message.id.as_str())
                .bind(message.topic.as_str())
                .bind(0)
                .bind(delivery.position.offset)
                .execute(&mut **tx)
                .await
                .unwrap();
            }
        };
        let ours = async |tx: &mut Transaction| {
            for delivery in &self.deliveries {
                assert!(
                    self.inbox
                        .admit(tx, &CONSUMER, delivery)
                        .await
                        .unwrap()
                        .is_fresh()
                );
            }
        };
        self.compare(
            bench,
            "overhead of admit",
            "raw INSERT OR IGNORE",
            &ours,
            &raw,
        );
    }

    fn admit_batch(&self, bench: &Bench) {
        let row = |(delivery, message): (&Delivery, &Message)| {
            let texts = [
                message.source.as_str(),
                message.id.as_str(),
                message.topic.as_str(),
            ]
            .map(str::to_owned);
            (texts, delivery.position.offset)
        };
        let rows: Vec<_> = self
            .deliveries
            .iter()
            .zip(&self.messages)
            .map(row)
            .collect();
        let raw = async |tx: &mut Transaction| {
            for batch in rows.chunks(BATCH) {
                sqlx::query(
                    "INSERT OR IGNORE INTO inbox_processed (consumer, source, id, topic, partition, offset) \
                     SELECT $1, value ->> '$[0][0]', value ->> '$[0][1]', value ->> '$[0][2]', 0, value ->> 1 \
                     FROM json_each($2)",
                )
                .bind(CONSUMER.as_str())
                .bind(serde_json::to_string(batch).unwrap())
                .execute(&mut **tx)
                .await
                .unwrap();
            }
        };
        let ours = async |tx: &mut Transaction| {
            for batch in self.deliveries.chunks(BATCH) {
                let batch: Vec<&Delivery> = batch.iter().collect();
                let answers = self.inbox.admit_batch(tx, &CONSUMER, &batch).await.unwrap();
                assert!(answers.iter().all(|answer| answer.is_fresh()));
            }
        };
        self.compare(
            bench,
            "overhead of admit_batch of 1,000",
            "raw JSON-set INSERT OR IGNORE",
            &ours,
            &raw,
        );
    }
}

/// Pure work of the processor: there is nothing raw to compare it with but reading any JSON.
fn envelopes(bench: &Bench, messages: &[Message]) {
    let name = "envelope written and read";
    if !bench.wants(name) {
        return;
    }
    let texts: Vec<String> = messages.iter().map(envelope::write).collect();
    let (our_meter, raw_meter) = (Meter::default(), Meter::default());
    let mut sides = [
        Side::new("mainstay", || {
            our_meter.measure(messages.len(), || {
                for message in messages {
                    let text = envelope::write(message);
                    let (topic, key) = (message.topic.clone(), message.key.clone());
                    envelope::read(&text, topic, key, message.payload.clone()).unwrap();
                }
            })
        }),
        Side::new("serde_json::Value", || {
            raw_meter.measure(messages.len(), || {
                for text in &texts {
                    let value: serde_json::Value = serde_json::from_str(text).unwrap();
                    assert!(!serde_json::to_string(&value).unwrap().is_empty());
                }
            })
        }),
    ];
    bench.compare(&Comparison::new(name, messages.len()), &mut sides);
    print(&our_meter, &raw_meter);
}
