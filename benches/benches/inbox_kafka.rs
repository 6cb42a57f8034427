//! A worker on Kafka and PostgreSQL beside the same work by hand: one task a partition, a processed record and an effect a
//! message, offsets committed by time. On the servers of `MAINSTAY_POSTGRES_URL` and `MAINSTAY_KAFKA_URL`.
#![expect(
    clippy::unwrap_used,
    reason = "a bench stops at the first error, and says what it saw"
)]

#[path = "inbox_kafka/by_hand.rs"]
mod by_hand;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use mainstay_benches::{Bench, Comparison, Keys, Side, Stopwatch, Took, Workload};
use mainstay_database::postgres::Database;
use mainstay_inbox::{HandlerError, Handlers, PostgresInbox, Received, Worker};
use mainstay_messaging::{Event, Message, Publisher as _, kafka::Broker};
use mainstay_testkit::{
    kafka,
    postgres::{self, TestDatabase},
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::time::sleep;

const BY_HAND: &str = "the same by hand";
const PARTITIONS: u16 = 6;

/// How long a slow handler takes.
const SLOW: Duration = Duration::from_millis(100);

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let suite = "the benches of the inbox on Kafka";
    let Some((postgres, kafka)) =
        postgres::Server::for_suite(suite).zip(kafka::Server::for_suite(suite))
    else {
        return;
    };
    single(&bench, &postgres, &kafka);
    batched(&bench, &postgres, &kafka);
    slow(&bench, &postgres, &kafka);
}

/// What is handled.
#[derive(Serialize, Deserialize)]
struct Placed {
    number: usize,
    body: String,
}

impl Event for Placed {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Placed";
}

/// A run's clock, which starts at the first message, since joining a group takes its time; and which messages are slow.
#[derive(Clone, Default)]
struct Run {
    started: Arc<Mutex<Option<Stopwatch>>>,
    /// One in so many; 0 = none.
    slow: usize,
    effects: Arc<AtomicUsize>,
}

impl Run {
    async fn handles(&self, placed: &Placed) {
        self.started
            .lock()
            .unwrap()
            .get_or_insert_with(Stopwatch::start);
        if self.slow > 0 && placed.number.is_multiple_of(self.slow) {
            sleep(SLOW).await;
        }
    }

    fn took(&self) -> Took {
        self.started.lock().unwrap().take().unwrap().stop()
    }
}

/// A topic that is full of messages, and a database.
struct Service {
    database: Database,
    inbox: PostgresInbox,
    broker: Broker,
    /// Its topic in the cluster.
    full: String,
    server: String,
    count: usize,
    groups: AtomicUsize,
    _server: TestDatabase,
}

impl Service {
    fn new(
        bench: &Bench,
        postgres: &postgres::Server,
        kafka: &kafka::Server,
        count: usize,
    ) -> Self {
        bench.runtime.block_on(async {
            let test = postgres.database().await.unwrap();
            let database = Database::builder(test.url()).max_connections(20);
            let database = database.open().await.unwrap();
            let create = "CREATE TABLE effects (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body TEXT NOT NULL)";
            sqlx::query(create).execute(database.pool()).await.unwrap();
            let inbox = PostgresInbox::builder(&database).open().await.unwrap();
            let namespace = format!("{}.", kafka.prefix());
            let opening = Broker::builder(kafka.url()).namespace(&namespace);
            let broker = opening.open().await.unwrap();
            broker.create_topic(Placed::TOPIC, PARTITIONS).await.unwrap();
            let publisher = broker.publisher();
            for batch in messages(count).chunks(1_000) {
                for outcome in publisher.publish(batch).await {
                    assert!(outcome.is_acknowledged());
                }
            }
            Self {
                database,
                inbox,
                broker,
                full: format!("{namespace}{}", Placed::TOPIC),
                server: kafka.url().to_owned(),
                count,
                groups: AtomicUsize::new(0),
                _server: test,
            }
        })
    }

    fn new_group(&self) -> String {
        format!("billing-{}", self.groups.fetch_add(1, Relaxed) + 1)
    }

    async fn clear(&self) {
        let clear = "TRUNCATE effects, inbox_processed";
        sqlx::query(clear)
            .execute(self.database.pool())
            .await
            .unwrap();
    }

    /// Each message has one effect.
    async fn check(&self) {
        let count = "SELECT count(*) FROM effects";
        let count = sqlx::query_scalar::<_, i64>(count).fetch_one(self.database.pool());
        assert_eq!(usize::try_from(count.await.unwrap()), Ok(self.count));
    }

    /// A worker that handles everything.
    async fn work(&self, setting: &Setting) -> Took {
        self.clear().await;
        let group = self.new_group();
        let consumer = self.broker.consumer(group).subscribe([Placed::TOPIC]);
        let run = Run {
            slow: setting.slow,
            ..Run::default()
        };
        let handlers = Handlers::new().with_state(run.clone());
        let handlers = if setting.batch_size > 1 {
            handlers.on_batch(several)
        } else {
            handlers.on(one)
        };
        let worker = Worker::new(self.inbox.clone(), consumer.await.unwrap())
            .handlers(handlers)
            .concurrency(setting.concurrency)
            .batch_size(setting.batch_size);
        let handle = worker.handle();
        let total = i64::try_from(self.count).unwrap();
        let (count, took) = (self.count, Mutex::new(Took::default()));
        let finished = async {
            let handled = || {
                let status = handle.status();
                let partitions = status.partitions.iter();
                partitions.map(|p| p.finished_below).sum::<i64>()
            };
            while run.effects.load(Relaxed) < count || handled() < total {
                sleep(Duration::from_millis(1)).await;
            }
            *took.lock().unwrap() = run.took();
        };
        worker.run_until(finished).await.unwrap();
        self.check().await;
        took.into_inner().unwrap()
    }

    async fn by_hand(&self, setting: &Setting) -> Took {
        self.clear().await;
        let run = Run {
            slow: setting.slow,
            ..Run::default()
        };
        let took = by_hand::work(self, setting, &run).await;
        self.check().await;
        took
    }
}

/// How messages are handled.
struct Setting {
    concurrency: usize,
    batch_size: usize,
    slow: usize,
}

fn messages(count: usize) -> Vec<Message> {
    let workload = Workload::new(Keys::Uniform).messages(count).into_iter();
    let message = |(number, message): (usize, Message)| {
        let body = String::from_utf8(message.payload.unwrap_or_default().into()).unwrap();
        let placed = Message::builder()
            .source("/benches")
            .event(&Placed { number, body });
        placed.key(message.key.unwrap()).build().unwrap()
    };
    workload.enumerate().map(message).collect()
}

async fn one(
    tx: &mut PgConnection,
    placed: Received<Placed>,
    run: Run,
) -> Result<(), HandlerError> {
    run.handles(&placed.event).await;
    let effect = sqlx::query("INSERT INTO effects (body) VALUES ($1)");
    effect.bind(&placed.event.body).execute(tx).await?;
    run.effects.fetch_add(1, Relaxed);
    Ok(())
}

async fn several(
    tx: &mut PgConnection,
    placed: Vec<Received<Placed>>,
    run: Run,
) -> Result<(), HandlerError> {
    for one in &placed {
        run.handles(&one.event).await;
    }
    let bodies: Vec<_> = placed.iter().map(|one| one.event.body.as_str()).collect();
    sqlx::query("INSERT INTO effects (body) SELECT unnest($1::text[])")
        .bind(bodies)
        .execute(tx)
        .await?;
    run.effects.fetch_add(placed.len(), Relaxed);
    Ok(())
}

/// One message a transaction, six at once.
fn single(bench: &Bench, postgres: &postgres::Server, kafka: &kafka::Server) {
    let name = "inbox on Kafka: one message a transaction, 6 at once";
    let setting = Setting {
        concurrency: PARTITIONS.into(),
        batch_size: 1,
        slow: 0,
    };
    beside_by_hand(bench, postgres, kafka, name, 5_000, &setting);
}

/// A hundred messages a transaction, six at once.
fn batched(bench: &Bench, postgres: &postgres::Server, kafka: &kafka::Server) {
    let name = "inbox on Kafka: 100 messages a transaction, 6 at once";
    let setting = Setting {
        concurrency: PARTITIONS.into(),
        batch_size: 100,
        slow: 0,
    };
    beside_by_hand(bench, postgres, kafka, name, 50_000, &setting);
}

fn beside_by_hand(
    bench: &Bench,
    postgres: &postgres::Server,
    kafka: &kafka::Server,
    name: &str,
    count: usize,
    setting: &Setting,
) {
    if !bench.wants(name) {
        return;
    }
    let count = bench.scaled(count);
    let [ours, by_hand] = [(); 2].map(|()| Service::new(bench, postgres, kafka, count));
    let mut sides = [
        Side::new("worker", || bench.runtime.block_on(ours.work(setting))),
        Side::new(BY_HAND, || bench.runtime.block_on(by_hand.by_hand(setting))),
    ];
    let comparison = Comparison::new(name, count).rounds(9).target(BY_HAND, 0.8);
    bench.compare(&comparison, &mut sides);
}

/// One message in 1,000 takes 100 ms: its key waits, and no other.
fn slow(bench: &Bench, postgres: &postgres::Server, kafka: &kafka::Server) {
    let name = "inbox on Kafka: one handler in 1,000 takes 100 ms, 16 at once";
    if !bench.wants(name) {
        return;
    }
    let count = bench.scaled(10_000);
    let [ours, quick, by_hand] = [(); 3].map(|()| Service::new(bench, postgres, kafka, count));
    let setting = |slow| Setting {
        concurrency: 16,
        batch_size: 1,
        slow,
    };
    let mut sides = [
        Side::new("worker", || {
            bench.runtime.block_on(ours.work(&setting(1_000)))
        }),
        Side::new("without slow handlers", || {
            bench.runtime.block_on(quick.work(&setting(0)))
        }),
        Side::new("by hand, a task a partition", || {
            bench.runtime.block_on(by_hand.by_hand(&setting(1_000)))
        }),
    ];
    bench.compare(&Comparison::new(name, count).rounds(9), &mut sides);
}
