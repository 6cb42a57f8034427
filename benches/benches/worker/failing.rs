//! Rounds of a worker whose handlers fail, on any store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use mainstay_benches::{Bench, Comparison, Keys, Side, Took, Workload, timed};
use mainstay_clock::Backoff;
use mainstay_inbox::{
    Error, HandlerError, Handlers, Worker,
    failure::{Failure, FailureOutcome, FailurePolicy},
    store::WorkerStore,
};
use mainstay_messaging::{Delivery, Event, Group, Message, Publisher as _, Topic, memory::Broker};
use serde::{Deserialize, Serialize};

/// What is handled.
#[derive(Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) body: String,
}

impl Event for Placed {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Placed";
}

/// Which handlers fail.
#[derive(Clone, Copy)]
enum Which {
    None,
    /// One call in so many.
    Call(usize),
    /// One message in so many, always.
    Message(i64),
}

/// Makes calls fail.
#[derive(Clone)]
pub(crate) struct Failing {
    which: Which,
    calls: Arc<AtomicUsize>,
}

impl Failing {
    /// The end of a call with the messages at these offsets.
    pub(crate) fn call(&self, offsets: &[i64]) -> Result<(), HandlerError> {
        let call = self.calls.fetch_add(1, Relaxed) + 1;
        let fails = match self.which {
            Which::None => false,
            Which::Call(every) => call.is_multiple_of(every),
            Which::Message(every) => offsets.iter().any(|offset| (offset + 1) % every == 0),
        };
        match self.which {
            _ if !fails => Ok(()),
            Which::Message(_) => Err(HandlerError::permanent("as planned")),
            _ => Err(HandlerError::retryable("as planned")),
        }
    }
}

/// Lets the keys of messages that always fail go on.
struct Discard;

#[async_trait::async_trait]
impl FailurePolicy for Discard {
    async fn on_failure(
        &self,
        _: &Group,
        _: &Delivery,
        _: &Failure,
    ) -> Result<FailureOutcome, Error> {
        Ok(FailureOutcome::DeadLettered)
    }
}

/// Compares workers that fail with one that does not. `store` makes an inbox beside an empty table `effects`.
pub(crate) fn compare<I: WorkerStore + Clone, G>(
    bench: &Bench,
    on: &str,
    count: usize,
    store: impl Fn(&str) -> (I, G),
    register: impl Fn(Handlers<I::Connection, Failing>, bool) -> Handlers<I::Connection, Failing>,
) {
    let count = bench.scaled(count);
    let round = |inbox: &I, which, batch_size, batches: bool| {
        round(bench, inbox, count, which, batch_size, |handlers| {
            register(handlers, batches)
        })
    };
    for (what, which, batches, target) in [
        (
            "every 100th call fails",
            Which::Call(100),
            false,
            ("no failures", 0.5),
        ),
        (
            "every 7th call fails",
            Which::Call(7),
            false,
            ("one message per transaction", 1.0),
        ),
        (
            "every 100th message fails for good",
            Which::Message(100),
            false,
            ("no failures", 0.5),
        ),
        (
            "every 7th message fails for good",
            Which::Message(7),
            false,
            ("one message per transaction", 1.0),
        ),
        (
            "every 100th call of a batch handler fails",
            Which::Call(100),
            true,
            ("no failures", 0.5),
        ),
        (
            "every 7th call of a batch handler fails",
            Which::Call(7),
            true,
            ("one message per transaction", 1.0),
        ),
        (
            "every 100th message fails in a batch handler",
            Which::Message(100),
            true,
            ("one message per transaction", 1.0),
        ),
        (
            "every 7th message fails in a batch handler",
            Which::Message(7),
            true,
            ("one message per transaction", 1.0),
        ),
    ] {
        let name = format!("worker: {what}, batches of 100, {on}");
        if !bench.wants(&name) {
            continue;
        }
        let (failing, without, single) = (store("failing"), store("without"), store("single"));
        let mut sides = [
            Side::new("failures", || round(&failing.0, which, 100, batches)),
            Side::new("no failures", || {
                round(&without.0, Which::None, 100, batches)
            }),
            Side::new("one message per transaction", || {
                round(&single.0, which, 1, batches)
            }),
        ];
        let comparison = Comparison::new(name, count)
            .rounds(9)
            .target(target.0, target.1);
        bench.compare(&comparison, &mut sides);
    }
}

fn messages(count: usize) -> Vec<Message> {
    let workload = Workload::new(Keys::Uniform).messages(count).into_iter();
    let message = |message: Message| {
        let body = String::from_utf8(message.payload.unwrap_or_default().into()).unwrap();
        let placed = Message::builder()
            .source("/benches")
            .event(&Placed { body });
        placed.key(message.key.unwrap()).build().unwrap()
    };
    workload.map(message).collect()
}

/// How long a worker takes for so many messages of a log in memory.
fn round<I: WorkerStore + Clone>(
    bench: &Bench,
    inbox: &I,
    count: usize,
    which: Which,
    batch_size: usize,
    register: impl FnOnce(Handlers<I::Connection, Failing>) -> Handlers<I::Connection, Failing>,
) -> Took {
    let consumer = bench.runtime.block_on(async {
        let broker = Broker::builder().build();
        broker
            .create_topic(Topic::from_static("orders"), 1)
            .await
            .unwrap();
        for outcome in broker.publisher().publish(&messages(count)).await {
            assert!(outcome.is_acknowledged());
        }
        broker
            .consumer("billing")
            .subscribe(["orders"])
            .await
            .unwrap()
    });
    let failing = Failing {
        which,
        calls: Arc::default(),
    };
    // A short backoff: what counts is the work, not the wait.
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(10));
    let worker = Worker::new(inbox.clone(), consumer)
        .handlers(register(Handlers::new().with_state(failing)))
        .batch_size(batch_size)
        .backoff(backoff)
        .failure_policy(Discard);
    let handle = worker.handle();
    let all = i64::try_from(count).unwrap();
    let finished = async move {
        let handled = || {
            handle
                .status()
                .partitions
                .iter()
                .map(|p| p.finished_below)
                .max()
        };
        while handled() < Some(all) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timed(|| bench.runtime.block_on(worker.run_until(finished)).unwrap())
}
