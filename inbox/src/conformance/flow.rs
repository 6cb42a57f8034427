//! Order, offsets, back pressure.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mainstay_messaging::{Kind, Message};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    Fixture,
    harness::{
        Running, all_committed, committed, effects, group, handlers, in_turns, many, message,
        names, of_key, publish, topic, until, worker,
    },
    script::{Act, Counted, Script, count},
};
use crate::{BlockKey, Error};

pub async fn everything_is_handled_once_though_published_twice<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 3).await;
    let (script, keys) = (Script::new(), ["a", "b", "c", "d", "e"]);
    publish(f, &in_turns(&keys, 20)).await;
    let running = Running::start(f, worker(f, &script));
    publish(f, &in_turns(&keys, 20)).await;
    let effects = effects(f, 100).await;
    for key in keys {
        assert_eq!(of_key(&effects, key), names(key, 20));
    }
    all_committed(f).await;
    running.stop().await;
    assert_eq!((f.effects().await.len(), f.marks().await), (100, 100));
}

pub async fn a_crash_between_handler_and_commit_loses_nothing_and_repeats_nothing<F: Fixture>(
    f: &F,
) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a"], 3)).await;
    script.plan("a-1", [Act::Hang]);
    // Each message in a transaction of its own: a-0 is committed, a-1 is at its effect.
    let running = Running::start(f, worker(f, &script).batch(many(1)));
    until("the second handler", async || {
        (script.starts_of("a-1") == 1).then_some(())
    })
    .await;
    running.crash().await;
    assert_eq!(f.effects().await, names("a", 1));
    let successor = Running::start(f, worker(f, &script));
    assert_eq!(effects(f, 3).await, names("a", 3));
    successor.stop().await;
    assert_eq!(
        script.starts_of("a-0"),
        1,
        "a committed effect was made again"
    );
}

pub async fn a_key_is_serial_and_in_order_under_failures_while_others_flow<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let (script, keys) = (Script::new(), ["a", "b", "c", "d", "e", "f", "g", "h"]);
    for (number, key) in keys.iter().enumerate().take(6) {
        for message in (number..30).step_by(7) {
            let acts = [Act::Fail, Act::Conflict, Act::Panic, Act::Fail];
            script.plan(
                &format!("{key}-{message}"),
                acts.into_iter().skip(message % 4),
            );
        }
    }
    // One key does not get on at all until the end.
    script.plan("h-0", vec![Act::Fail; 1_000]);
    let worker = worker(f, &script)
        .concurrency(many(4))
        .batch(many(16))
        .attempts(u32::MAX);
    let running = Running::start(f, worker);
    // While earlier ones of the same keys run, fail and wait.
    for turn in in_turns(&keys, 30).chunks(keys.len()) {
        publish(f, turn).await;
    }
    effects(f, 210).await;
    script.heal();
    let effects = effects(f, 240).await;
    for key in keys {
        assert_eq!(of_key(&effects, key), names(key, 30));
    }
    assert_eq!(script.overlaps(), Vec::<String>::new(), "two at a time");
    all_committed(f).await;
    running.stop().await;
}

pub async fn keyless_messages_wait_for_nobody<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let messages: Vec<Message> = (0..4)
        .map(|number| {
            let mut message = message("a", number);
            message.key = None;
            message
        })
        .collect();
    script.plan("a-0", vec![Act::Fail; 1_000]);
    publish(f, &messages).await;
    let running = Running::start(f, worker(f, &script).attempts(u32::MAX));
    assert_eq!(effects(f, 3).await, ["a-1", "a-2", "a-3"]);
    script.heal();
    effects(f, 4).await;
    running.stop().await;
}

pub async fn no_offset_is_committed_beyond_the_lowest_unfinished_one<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a", "b", "c"], 10)).await;
    // c-2 is at offset 8: what lies below may be committed, nothing more.
    script.plan("c-2", vec![Act::Fail; 1_000]);
    let running = Running::start(f, worker(f, &script).attempts(u32::MAX));
    effects(f, 22).await;
    until("offsets committed up to the failing one", async || {
        (committed(f).await == 8).then_some(())
    })
    .await;
    until("several attempts more", async || {
        (script.starts_of("c-2") > 5).then_some(())
    })
    .await;
    assert_eq!(committed(f).await, 8);
    let status = running.status();
    assert_eq!(
        (
            status.partitions[0].finished_below,
            status.partitions[0].received_below
        ),
        (8, 30)
    );
    script.heal();
    all_committed(f).await;
    running.stop().await;
}

pub async fn a_span_at_its_bound_pauses_the_partition<F: Fixture>(f: &F) {
    // Forty messages of a byte bound that nobody reaches.
    pauses_at(f, |worker| worker.max_in_flight(many(40), usize::MAX)).await;
}

pub async fn a_span_of_many_bytes_pauses_the_partition<F: Fixture>(f: &F) {
    let size = message("a", 0).size();
    pauses_at(f, |worker| {
        worker.max_in_flight(many(usize::MAX), 40 * size)
    })
    .await;
}

type WorkerOf<F> = crate::Worker<<F as Fixture>::Database, <F as Fixture>::Inbox>;

async fn pauses_at<F: Fixture>(f: &F, bounded: impl FnOnce(WorkerOf<F>) -> WorkerOf<F>) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", vec![Act::FailForGood]);
    publish(f, &in_turns(&["a"], 1)).await;
    let running = Running::start(f, bounded(worker(f, &script)));
    until("the key stopped", async || {
        (!running.status().stopped.is_empty()).then_some(())
    })
    .await;
    publish(f, &in_turns(&["b"], 30)).await;
    effects(f, 30).await;
    assert!(!running.status().partitions[0].paused);
    publish(f, &(30..60).map(|n| message("b", n)).collect::<Vec<_>>()).await;
    until("the partition paused", async || {
        running.status().partitions[0].paused.then_some(())
    })
    .await;
    let received = running.status().partitions[0].received_below;
    publish(f, &(60..1_000).map(|n| message("b", n)).collect::<Vec<_>>()).await;
    // What is on its way when the partition pauses still comes; then nothing more does.
    effects(f, usize::try_from(received).unwrap() - 1).await;
    assert_eq!(running.status().partitions[0].received_below, received);
    assert_eq!(committed(f).await, 0);
    running.stop().await;
    // The build that can handle it goes on.
    script.heal();
    let running = Running::start(f, bounded_again::<F>(worker(f, &script)));
    effects(f, 1_001).await;
    all_committed(f).await;
    running.stop().await;
}

/// Small enough to pause and go on many times.
fn bounded_again<F: Fixture>(worker: WorkerOf<F>) -> WorkerOf<F> {
    worker.max_in_flight(many(10), usize::MAX)
}

pub async fn a_kind_without_handler_is_acknowledged<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let mut messages = in_turns(&["a"], 4);
    messages[1].kind = Kind::from_static("NewEventOfAnotherTeam");
    messages[3].kind = Kind::from_static("NewEventOfAnotherTeam");
    publish(f, &messages).await;
    let running = Running::start(f, worker(f, &script));
    assert_eq!(effects(f, 2).await, ["a-0", "a-2"]);
    all_committed(f).await;
    assert!(running.status().stopped.is_empty());
    running.stop().await;
}

pub async fn the_notifier_rings_after_each_commit<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, rings) = (Script::new(), Arc::new(AtomicUsize::new(0)));
    publish(f, &in_turns(&["a"], 3)).await;
    script.plan("a-1", [Act::Fail]);
    let ring = Arc::clone(&rings);
    let on_commit = Arc::new(move || {
        ring.fetch_add(1, Ordering::SeqCst);
    });
    let running = Running::start(f, worker(f, &script).batch(many(1)).on_commit(on_commit));
    effects(f, 3).await;
    until("the last ring", async || {
        (rings.load(Ordering::SeqCst) >= 3).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!(rings.load(Ordering::SeqCst), 3);
}

pub async fn a_notifier_that_panics_holds_nothing_up<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a"], 3)).await;
    let on_commit = Arc::new(|| panic!("as planned"));
    let running = Running::start(f, worker(f, &script).batch(many(1)).on_commit(on_commit));
    assert_eq!(effects(f, 3).await, names("a", 3));
    all_committed(f).await;
    assert!(running.status().is_healthy(), "{:?}", running.status());
    running.stop().await;
}

pub async fn two_handlers_of_one_kind_are_refused<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let handlers = handlers::<F>(&script).on::<Counted, _, _>(Arc::clone(&script), count::<F>);
    let worker = crate::Worker::new(group(), f.database(), f.inbox(), handlers)
        .parking(Arc::new(BlockKey::new()));
    let refused = worker
        .run(f.consumer(&group(), &topic()), CancellationToken::new())
        .await;
    assert!(
        matches!(refused, Err(Error::TwoHandlers { kind: "Counted" })),
        "{refused:?}"
    );
}

pub async fn shutdown_finishes_what_is_in_flight<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, gate) = (Script::new(), Arc::new(Semaphore::new(0)));
    script.plan("a-0", [Act::Wait(Arc::clone(&gate))]);
    publish(f, &in_turns(&["a"], 3)).await;
    let running = Running::start(f, worker(f, &script).batch(many(1)));
    until("the handler", async || {
        (script.starts_of("a-0") == 1).then_some(())
    })
    .await;
    running.ask_to_stop();
    gate.add_permits(1);
    running.stop().await;
    // What was in flight is there and committed; nothing was started after that.
    assert_eq!(f.effects().await, names("a", 1));
    assert_eq!(committed(f).await, 1);
    assert_eq!(script.started(), names("a", 1));
}

pub async fn shutdown_abandons_what_does_not_end_in_time<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", [Act::Hang]);
    publish(f, &in_turns(&["a"], 1)).await;
    let worker_of = worker(f, &script).drain(std::time::Duration::from_millis(20));
    let running = Running::start(f, worker_of);
    until("the handler", async || {
        (script.starts_of("a-0") == 1).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!((f.effects().await.len(), committed(f).await), (0, 0));
    let successor = Running::start(f, worker(f, &script));
    effects(f, 1).await;
    successor.stop().await;
}
