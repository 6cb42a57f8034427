//! What failures cost: calls of handlers and commits, counted, on paused time.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use mainstay_clock::{Backoff, Clock as _, SeededIds, TokioClock};
use mainstay_database::memory::{Connection, Inserted, Record};
use mainstay_inbox::{
    HandlerError, Handlers, MemoryInbox, Received, Worker, conformance::Fixture as _,
};
use mainstay_messaging::{Event as _, Message, Publisher as _, memory::LogConsumer};

use crate::{
    memory::MemoryFixture,
    named::{Named, group, message, topic},
};

const MESSAGES: usize = 1_000;

/// Fails now and then.
#[derive(Clone, Copy, Debug)]
enum Failing {
    Never,
    /// One call in so many; the next call succeeds.
    Call(usize),
    /// One message in so many, always.
    Message(usize),
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Error,
    Permanent,
    /// A batch handler names the event.
    Named,
    Panic,
    Hang,
}

#[derive(Clone)]
struct Script {
    failing: Failing,
    way: Way,
    calls: Arc<AtomicUsize>,
    events: Arc<AtomicUsize>,
}

impl Script {
    async fn call(&self, tx: &mut Connection, ids: &[&str]) -> Result<(), HandlerError> {
        let call = self.calls.fetch_add(1, SeqCst) + 1;
        self.events.fetch_add(ids.len(), SeqCst);
        for id in ids {
            MemoryFixture::write(tx, id).await?;
        }
        let number = |id: &str| id.rsplit('-').next().unwrap().parse::<usize>().unwrap() + 1;
        let culprit = match self.failing {
            Failing::Never => None,
            Failing::Call(every) => (call.is_multiple_of(every)).then_some(0),
            Failing::Message(every) => ids.iter().position(|id| number(id) % every == 0),
        };
        match (culprit, self.way) {
            (None, _) => Ok(()),
            (Some(_), Way::Error) => Err(HandlerError::retryable("as planned")),
            (Some(_), Way::Permanent) => Err(HandlerError::permanent("as planned")),
            (Some(at), Way::Named) => Err(HandlerError::retryable("as planned").at(at)),
            (Some(_), Way::Panic) => panic!("as planned"),
            (Some(_), Way::Hang) => std::future::pending().await,
        }
    }
}

async fn one(
    tx: &mut Connection,
    received: Received<Named>,
    script: Script,
) -> Result<(), HandlerError> {
    script.call(tx, &[received.message.id.as_str()]).await
}

async fn several<E: Send>(
    tx: &mut Connection,
    received: Vec<Received<E>>,
    script: Script,
) -> Result<(), HandlerError> {
    let ids: Vec<_> = received.iter().map(|r| r.message.id.as_str()).collect();
    script.call(tx, &ids).await
}

type Registered = Handlers<Connection, Script>;

fn on(handlers: Registered) -> Registered {
    handlers.on(one)
}

fn on_batch(handlers: Registered) -> Registered {
    handlers.on_batch(several::<Named>)
}

fn on_messages(handlers: Registered) -> Registered {
    handlers.on_messages(&[Named::KIND], several::<()>)
}

/// What it took until every message was handled, or its key blocked.
#[derive(Debug)]
struct Cost {
    calls: usize,
    /// Of all calls together.
    events: usize,
    commits: usize,
    blocked: usize,
}

/// The cost of messages of as many keys.
async fn cost(
    register: fn(Registered) -> Registered,
    failing: Failing,
    way: Way,
    batch_size: usize,
) -> Cost {
    let messages: Vec<_> = (0..MESSAGES)
        .map(|n| message(&format!("k{n}"), n))
        .collect();
    let script = Script {
        failing,
        way,
        calls: Arc::default(),
        events: Arc::default(),
    };
    let (fixture, worker) = worker(&messages).await;
    let commits = Arc::new(AtomicUsize::new(0));
    let running = worker
        .handlers(register(Handlers::new().with_state(script.clone())))
        .batch_size(batch_size)
        .handler_deadline(Duration::from_millis(100))
        .on_commit({
            let commits = Arc::clone(&commits);
            move || {
                commits.fetch_add(1, SeqCst);
            }
        })
        .spawn();
    loop {
        let (handled, blocked) = (
            fixture.effects().await.len(),
            running.status().blocked_keys.len(),
        );
        assert!(handled + blocked <= MESSAGES);
        if handled + blocked == MESSAGES {
            running.shutdown().await.unwrap();
            let count = |of: &AtomicUsize| of.load(SeqCst);
            return Cost {
                calls: count(&script.calls),
                events: count(&script.events),
                commits: count(&commits),
                blocked,
            };
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn worker(messages: &[Message]) -> (MemoryFixture, Worker<MemoryInbox, LogConsumer>) {
    let clock = Arc::new(TokioClock::default());
    let fixture = MemoryFixture::with(clock.clone(), Arc::new(SeededIds::new(1)));
    fixture.create_topic(&topic(), 1).await;
    for answer in fixture.publisher().publish(messages).await {
        assert!(answer.is_acknowledged());
    }
    let consumer = fixture.consumer(&group(), &topic()).await;
    let worker = Worker::new(fixture.inbox(), consumer)
        .clock(clock)
        .ids(SeededIds::new(2));
    (fixture, worker)
}

const REGISTERED: [fn(Registered) -> Registered; 3] = [on, on_batch, on_messages];
const WAYS: [Way; 5] = [
    Way::Error,
    Way::Permanent,
    Way::Named,
    Way::Panic,
    Way::Hang,
];

/// Calls `check` with the cost in batches, and with that of one message per transaction.
async fn compare(every: usize, check: impl Fn(&Cost, &Cost, &str)) {
    for register in REGISTERED {
        for way in WAYS {
            for failing in [Failing::Call(every), Failing::Message(every)] {
                let batches = cost(register, failing, way, 100).await;
                let one_by_one = cost(register, failing, way, 1).await;
                let poison = MESSAGES / every;
                match (failing, way) {
                    (Failing::Message(_), _) => assert_eq!(batches.blocked, poison, "{batches:?}"),
                    (_, Way::Permanent) => assert!(batches.blocked <= poison + 5, "{batches:?}"),
                    _ => assert_eq!(batches.blocked, 0, "{batches:?}"),
                }
                let what = format!("{failing:?}, {way:?}: {batches:?}; one by one: {one_by_one:?}");
                check(&batches, &one_by_one, &what);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_failures_a_batch_is_one_transaction() {
    for register in REGISTERED {
        let cost = cost(register, Failing::Never, Way::Error, 100).await;
        assert_eq!((cost.events, cost.commits), (MESSAGES, MESSAGES / 100));
    }
}

#[tokio::test(start_paused = true)]
async fn one_failure_in_100_costs_few_calls_and_commits() {
    compare(100, |batches, _, what| {
        assert!(batches.events <= MESSAGES * 13 / 10, "{what}");
        // Ten batches, and those in which the messages that failed succeed.
        assert!(batches.commits <= 25, "{what}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_failure_in_7_costs_less_than_one_message_per_transaction() {
    compare(7, |batches, one_by_one, what| {
        assert!(batches.commits * 4 <= one_by_one.commits, "{what}");
        assert!(batches.calls * 5 <= one_by_one.calls * 6, "{what}");
        assert!(batches.events * 10 <= one_by_one.events * 17, "{what}");
    })
    .await;
}

/// A row that another transaction holds.
#[derive(Clone, Debug)]
struct Seat;

impl Record for Seat {
    const TABLE: &'static str = "seats";
    type Key = ();

    fn key(&self) {}
}

/// The first message fails once; another one waits for the seat.
async fn sit(
    tx: &mut Connection,
    received: Received<Named>,
    failed: Arc<AtomicUsize>,
) -> Result<(), HandlerError> {
    let name = received.event.name;
    MemoryFixture::write(tx, &name).await?;
    if name == "k0-0" && failed.fetch_add(1, SeqCst) == 0 {
        return Err(HandlerError::retryable("as planned"));
    }
    if name == "k70-70" {
        let mut statement = tx.statement().await?;
        assert_eq!(statement.insert(Seat).await?, Inserted::New);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_does_not_end_takes_its_transaction_with_it_once() {
    let messages: Vec<_> = (0..100).map(|n| message(&format!("k{n}"), n)).collect();
    let (fixture, worker) = worker(&messages).await;
    let mut holder = fixture.database.begin().await.unwrap();
    let mut statement = holder.statement().await.unwrap();
    assert_eq!(statement.insert(Seat).await.unwrap(), Inserted::New);
    drop(statement);
    let running = worker
        .with_state(Arc::new(AtomicUsize::new(0)))
        .on(sit)
        .handler_deadline(Duration::from_secs(1))
        .max_attempts(u32::MAX)
        .spawn();
    let handled = async |count| {
        while fixture.effects().await.len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // One deadline passes in a transaction with others; then the message runs alone.
    let few = Duration::from_secs(5);
    tokio::time::timeout(few, handled(99)).await.unwrap();
    drop(holder);
    handled(100).await;
    running.shutdown().await.unwrap();
    assert_eq!(fixture.processed().await, 100);
}

#[tokio::test(start_paused = true)]
async fn an_interval_gathers_the_messages_that_come_meanwhile() {
    let script = Script {
        failing: Failing::Never,
        way: Way::Error,
        calls: Arc::default(),
        events: Arc::default(),
    };
    let (fixture, worker) = worker(&[]).await;
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let running = worker
        .handlers(on(Handlers::new().with_state(script)))
        .transaction_interval(Duration::from_secs(1))
        .on_commit(move || {
            counted.fetch_add(1, SeqCst);
        })
        .spawn();
    for n in 0..20 {
        fixture
            .publisher()
            .publish(&[message(&format!("k{n}"), n)])
            .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while fixture.effects().await.len() < 20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // At once, after a second, and after two.
    assert_eq!(commits.load(SeqCst), 3);
    running.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interval_does_not_delay_what_is_tried_again() {
    let script = Script {
        failing: Failing::Message(2),
        way: Way::Error,
        calls: Arc::default(),
        events: Arc::default(),
    };
    let second = Duration::from_secs(1);
    let (fixture, worker) = worker(&[message("fails", 1)]).await;
    let calls = Arc::clone(&script.calls);
    let until = async |count| {
        while calls.load(SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let running = worker
        .handlers(on(Handlers::new().with_state(script)))
        .transaction_interval(second * 60)
        .batch_size(1)
        .backoff(Backoff::new(second, second))
        .spawn();
    until(1).await;
    // The interval begins anew with another one, which succeeds.
    fixture.publisher().publish(&[message("other", 0)]).await;
    until(2).await;
    let clock = TokioClock::default();
    let other = clock.monotonic();
    // What is ready by then starts with the retry, although one transaction does not take it all.
    let more = ["a", "b", "c"].map(|key| message(key, 2));
    fixture.publisher().publish(&more).await;
    until(3 + more.len()).await;
    let took = clock.monotonic() - other;
    assert!(took < second * 2, "{took:?}");
    running.shutdown().await.unwrap();
}
