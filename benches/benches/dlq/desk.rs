//! What an operator waits for, with 100,000 dead letters; and a bulk replay across a restart.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use mainstay_benches::{Bench, Stopwatch, timed};
use mainstay_dlq::{DeadLetterQueue, Query, Signature, desk::JobState, store::QueueStore};
use mainstay_inbox::{
    Handlers,
    failure::{Failure, FailureKind, FailurePolicy as _},
    store::WorkerStore,
};

use super::{
    admission::CONSUMER,
    poison::{State, deliveries},
};

/// Reads of a queue that holds 100,000 dead letters with 50 causes.
pub(crate) fn reads<I, S>(bench: &Bench, on: &str, queue: &DeadLetterQueue<I, S>)
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    println!("\ndlq: reads with 100,000 dead letters, {on}");
    let desk = queue.desk();
    let dead = Query::dead();
    let newest = bench.runtime.block_on(desk.list(&dead, None, 1));
    let newest = newest.unwrap().items[0].id;
    measure(bench, "groups", &|| {
        Box::pin(async { drop(desk.groups(None, 50).await.unwrap()) })
    });
    measure(bench, "groups of one consumer", &|| {
        Box::pin(async { drop(desk.groups(Some(&CONSUMER), 50).await.unwrap()) })
    });
    let of_consumer = Query::dead().consumer(&CONSUMER);
    for (what, query, before) in [
        ("first page of 50", dead.clone(), None),
        ("a page in the middle", dead.clone(), Some(newest.0 / 2)),
        ("one key", of_consumer.clone().key("key-77"), None),
        (
            "one cause",
            dead.clone().fingerprint("0000000000000007"),
            None,
        ),
        (
            "one message id",
            of_consumer.clone().message_id("m-5000"),
            None,
        ),
    ] {
        measure(bench, what, &|| {
            Box::pin(async { drop(desk.list(&query, before, 50).await.unwrap()) })
        });
    }
    measure(bench, "count, up to 10,000", &|| {
        Box::pin(async { assert!(desk.count(&dead).await.unwrap() > 0) })
    });
    measure(bench, "totals, up to 10,000", &|| {
        Box::pin(async { assert!(desk.totals(&CONSUMER).await.unwrap().dead > 0) })
    });
    measure(bench, "one message", &|| {
        Box::pin(async { drop(desk.show(newest).await.unwrap()) })
    });
}

fn measure<'a>(bench: &Bench, what: &str, read: &dyn Fn() -> LocalBoxFuture<'a, ()>) {
    let reads = 0..bench.scaled(100).max(3);
    let took = reads.map(|_| timed(|| bench.runtime.block_on(read())).wall);
    let mut took: Vec<Duration> = took.collect();
    took.sort_unstable();
    let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("  {what:<44} median {median:>10.2?}  p99 {p99:>10.2?}");
}

/// A bulk replay as fast as possible; the replayer is stopped and started again on the way.
pub(crate) fn bulk<I, S>(
    bench: &Bench,
    on: &str,
    queue: &DeadLetterQueue<I, S>,
    register: impl Fn(Handlers<I::Connection, State>) -> Handlers<I::Connection, State>,
) where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let name = format!("dlq: a bulk replay with a restart in the middle, {on}");
    if !bench.wants(&name) {
        return;
    }
    let count = bench.scaled(5_000);
    let failure = Failure::new(FailureKind::Permanent, 1, "as planned");
    let handlers = || register(Handlers::new().with_state(State::new(None)));
    let started = bench.runtime.block_on(async {
        for delivery in deliveries(count) {
            let kept = queue.on_failure(&CONSUMER, &delivery, &failure).await;
            let _dead_lettered = kept.unwrap();
        }
        let by = Signature::new("bench", "a bulk replay");
        let started = Stopwatch::start();
        let desk = queue.desk();
        let job = desk.replay_all(Query::dead(), None, &by).await.unwrap();
        let replayer = || queue.replayer("billing", handlers()).unwrap().spawn();
        let first = replayer();
        while desk.job(job).await.unwrap().replayed < count as u64 / 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        first.shutdown().await.unwrap();
        let second = replayer();
        loop {
            let job = desk.job(job).await.unwrap();
            if job.state == JobState::Finished && job.waiting == 0 {
                assert_eq!((job.replayed, job.failed), (job.done, 0));
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = started.stop();
        second.shutdown().await.unwrap();
        took
    });
    #[expect(clippy::cast_precision_loss, reason = "a figure with three digits")]
    let rate = count as f64 / started.wall.as_secs_f64();
    println!("\n{name}: {count} messages, {rate:.0}/s");
}
