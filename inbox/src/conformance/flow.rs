//! Order, offsets, backpressure.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mainstay_messaging::{Kind, Message};
use tokio::sync::Semaphore;

use super::{
    Fixture,
    harness::{
        Running, WorkerOf, all_committed, committed, effects, in_turns, message, names, of_key,
        publish, topic, until, worker,
    },
    script::{Act, Script, count},
};
use crate::{Error, Handlers};

pub async fn each_message_is_handled_once_although_published_twice<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 3).await;
    let (script, keys) = (Script::new(), ["a", "b", "c", "d", "e"]);
    publish(f, &in_turns(&keys, 20)).await;
    let running = Running::start(worker(f, &script).await);
    publish(f, &in_turns(&keys, 20)).await;
    let effects = effects(f, 100).await;
    for key in keys {
        assert_eq!(of_key(&effects, key), names(key, 20));
    }
    all_committed(f).await;
    running.stop().await;
    assert_eq!((f.effects().await.len(), f.processed().await), (100, 100));
}

pub async fn a_crash_between_handler_and_commit_loses_and_repeats_no_effect<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a"], 3)).await;
    script.plan("a-1", [Act::Hang]);
    // Each message in a transaction of its own: a-0 is committed, and the handler of a-1 has
    // written its effect.
    let running = Running::start(worker(f, &script).await.batch_size(1));
    until("the second handler", async || {
        (script.starts_of("a-1") == 1).then_some(())
    })
    .await;
    running.crash().await;
    assert_eq!(f.effects().await, names("a", 1));
    let successor = Running::start(worker(f, &script).await);
    assert_eq!(effects(f, 3).await, names("a", 3));
    successor.stop().await;
    assert_eq!(
        script.starts_of("a-0"),
        1,
        "a committed effect was made again"
    );
}

pub async fn a_key_stays_serial_and_in_order_under_failures_while_others_go_on<F: Fixture>(f: &F) {
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
    // One key makes no progress until the end.
    script.plan("h-0", vec![Act::Fail; 1_000]);
    let worker = worker(f, &script)
        .await
        .concurrency(4)
        .batch_size(16)
        .max_attempts(u32::MAX);
    let running = Running::start(worker);
    // While earlier messages of the same keys run, fail and wait.
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

pub async fn messages_without_a_key_do_not_wait_for_each_other<F: Fixture>(f: &F) {
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
    let running = Running::start(worker(f, &script).await.max_attempts(u32::MAX));
    assert_eq!(effects(f, 3).await, ["a-1", "a-2", "a-3"]);
    script.heal();
    effects(f, 4).await;
    running.stop().await;
}

pub async fn no_offset_is_committed_beyond_the_lowest_unfinished_one<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a", "b", "c"], 10)).await;
    // c-2 is at offset 8: only offsets up to there may be committed.
    script.plan("c-2", vec![Act::Fail; 1_000]);
    let running = Running::start(worker(f, &script).await.max_attempts(u32::MAX));
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

pub async fn a_full_in_flight_window_pauses_the_partition<F: Fixture>(f: &F) {
    pauses_at(f, |worker| worker.max_in_flight(40, usize::MAX)).await;
}

pub async fn an_in_flight_window_full_of_bytes_pauses_the_partition<F: Fixture>(f: &F) {
    let size = message("a", 0).size();
    pauses_at(f, |worker| worker.max_in_flight(usize::MAX, 40 * size)).await;
}

async fn pauses_at<F: Fixture>(f: &F, bounded: impl FnOnce(WorkerOf<F>) -> WorkerOf<F>) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", vec![Act::FailForGood]);
    publish(f, &in_turns(&["a"], 1)).await;
    let running = Running::start(bounded(worker(f, &script).await));
    until("the key to be blocked", async || {
        (!running.status().blocked_keys.is_empty()).then_some(())
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
    // Records that were fetched when the partition paused still come; then no more do.
    effects(f, usize::try_from(received).unwrap() - 1).await;
    assert_eq!(running.status().partitions[0].received_below, received);
    assert_eq!(committed(f).await, 0);
    running.stop().await;
    // A build that can handle the message goes on.
    script.heal();
    // Small enough to pause and resume many times.
    let running = Running::start(worker(f, &script).await.max_in_flight(10, usize::MAX));
    effects(f, 1_001).await;
    all_committed(f).await;
    running.stop().await;
}

pub async fn a_kind_without_handler_is_acknowledged<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let mut messages = in_turns(&["a"], 4);
    messages[1].kind = Kind::from_static("NewEventOfAnotherTeam");
    messages[3].kind = Kind::from_static("NewEventOfAnotherTeam");
    publish(f, &messages).await;
    let running = Running::start(worker(f, &script).await);
    assert_eq!(effects(f, 2).await, ["a-0", "a-2"]);
    all_committed(f).await;
    assert!(running.status().blocked_keys.is_empty());
    running.stop().await;
}

pub async fn on_commit_is_called_after_each_commit<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, calls) = (Script::new(), Arc::new(AtomicUsize::new(0)));
    publish(f, &in_turns(&["a"], 3)).await;
    script.plan("a-1", [Act::Fail]);
    let counter = Arc::clone(&calls);
    let on_commit = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let running = Running::start(worker(f, &script).await.batch_size(1).on_commit(on_commit));
    effects(f, 3).await;
    until("the last call", async || {
        (calls.load(Ordering::SeqCst) >= 3).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

pub async fn a_panic_in_on_commit_stops_nothing<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a"], 3)).await;
    let on_commit = || panic!("as planned");
    let running = Running::start(worker(f, &script).await.batch_size(1).on_commit(on_commit));
    assert_eq!(effects(f, 3).await, names("a", 3));
    all_committed(f).await;
    assert!(running.status().is_healthy(), "{:?}", running.status());
    running.stop().await;
}

pub async fn two_handlers_of_one_kind_are_refused<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let second = Handlers::new().with_state(script.clone()).on(count::<F>);
    let worker = worker(f, &script).await.handlers(second);
    let refused = worker.run_until(std::future::pending()).await;
    assert!(
        matches!(refused, Err(Error::TwoHandlers { kind: "Counted" })),
        "{refused:?}"
    );
}

pub async fn shutdown_finishes_running_transactions<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, gate) = (Script::new(), Arc::new(Semaphore::new(0)));
    script.plan("a-0", [Act::Wait(Arc::clone(&gate))]);
    publish(f, &in_turns(&["a"], 3)).await;
    let running = Running::start(worker(f, &script).await.batch_size(1));
    until("the handler", async || {
        (script.starts_of("a-0") == 1).then_some(())
    })
    .await;
    tokio::join!(biased; running.stop(), async { gate.add_permits(1) });
    // The running transaction is committed; nothing was started after it.
    assert_eq!(f.effects().await, names("a", 1));
    assert_eq!(committed(f).await, 1);
    assert_eq!(script.started(), names("a", 1));
}

pub async fn shutdown_abandons_transactions_that_do_not_end_in_time<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", [Act::Hang]);
    publish(f, &in_turns(&["a"], 1)).await;
    let worker_of = worker(f, &script)
        .await
        .drain_timeout(std::time::Duration::from_millis(20));
    let running = Running::start(worker_of);
    until("the handler", async || {
        (script.starts_of("a-0") == 1).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!((f.effects().await.len(), committed(f).await), (0, 0));
    let successor = Running::start(worker(f, &script).await);
    effects(f, 1).await;
    successor.stop().await;
}
