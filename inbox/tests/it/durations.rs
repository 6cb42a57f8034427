//! Every duration that can be set, down to nothing and up to the longest, and then a run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use mainstay_clock::Backoff;
use mainstay_database::memory::Connection;
use mainstay_inbox::{
    BlockKey, Error, HandlerError, MemoryInbox, Received, Worker, conformance::Fixture as _,
};
use mainstay_messaging::{Publisher as _, memory::LogConsumer};

use crate::{
    memory::MemoryFixture,
    named::{Named, group, message, topic},
};

const DURATIONS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::MAX,
];

type MemoryWorker = Worker<MemoryInbox, LogConsumer>;
type Setter = fn(MemoryWorker, Duration) -> MemoryWorker;

const SETTERS: [(&str, Setter); 8] = [
    ("handler_deadline", |worker, d| {
        // On a busy host, a call may exceed a deadline that is short.
        worker.handler_deadline(d).max_attempts(1_000)
    }),
    ("transaction_interval", MemoryWorker::transaction_interval),
    ("commit_interval", MemoryWorker::commit_interval),
    ("drain_timeout", MemoryWorker::drain_timeout),
    ("retention", MemoryWorker::retention),
    ("backoff", |worker, d| worker.backoff(Backoff::new(d, d))),
    ("backoff from nothing", |worker, d| {
        worker.backoff(Backoff::new(Duration::ZERO, d))
    }),
    ("retry_after", |worker, d| {
        worker.failure_policy(BlockKey::new().retry_after(d))
    }),
];

/// Always fails on key b.
async fn write(connection: &mut Connection, received: Received<Named>) -> Result<(), HandlerError> {
    let name = received.event.name;
    if name.starts_with('b') {
        return Err(HandlerError::retryable("as planned"));
    }
    Ok(MemoryFixture::write(connection, &name).await?)
}

async fn handled(f: &MemoryFixture) {
    while f.effects().await != ["a-0", "a-1"] {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn run(setting: &str, set: Setter, duration: Duration) {
    let f = MemoryFixture::new();
    f.create_topic(&topic(), 1).await;
    let messages = [message("a", 0), message("b", 0), message("a", 1)];
    for outcome in f.publisher().publish(&messages).await {
        assert!(outcome.is_acknowledged(), "{outcome:?}");
    }
    let consumer = f.consumer(&group(), &topic()).await;
    let worker = Worker::new(f.inbox(), consumer).on(write).max_attempts(2);
    let worker = set(worker, duration).spawn();
    let refused = tokio::select! {
        () = handled(&f) => None,
        ended = worker.ended() => Some(ended.unwrap_err()),
    };
    match refused {
        None => worker.shutdown().await.unwrap(),
        Some(error @ Error::TooShort { .. }) => {
            let said = format!("{setting} is {duration:?}; set it to at least 1ms");
            assert_eq!(error.to_string(), said);
        }
        Some(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_worker_works_with_any_duration_or_refuses_it_by_name() {
    for (setting, set) in SETTERS {
        for duration in DURATIONS {
            let ended = tokio::time::timeout(Duration::from_secs(60), run(setting, set, duration));
            ended
                .await
                .unwrap_or_else(|_| panic!("{setting}({duration:?}): no progress"));
        }
    }
}
