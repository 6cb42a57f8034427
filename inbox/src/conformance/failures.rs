//! Handlers that fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_messaging::{Event as _, Kind};

use super::{
    Fixture,
    harness::{
        Running, all_committed, batched, effects, in_turns, message, names, of_key, publish, topic,
        until, worker,
    },
    script::{Act, Script, Upcast},
};
use crate::failure::FailureKind;

pub async fn a_failing_message_does_not_fail_the_rest_of_its_batch<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, keys) = (
        Script::new(),
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
    );
    script.plan("d-1", [Act::FailForGood]);
    publish(f, &in_turns(&keys, 4)).await;
    let running = Running::start(worker(f, &script).await);
    // The key of the failing message waits from there on; everything else is handled.
    let effects = effects(f, 37).await;
    assert_eq!(of_key(&effects, "d"), ["d-0"]);
    let blocked = until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    assert_eq!(blocked.key.unwrap().as_str(), "d");
    assert_eq!(
        (blocked.kind, blocked.attempts, blocked.waiting),
        (FailureKind::Permanent, 1, 2)
    );
    assert_eq!(blocked.error.as_ref(), "as planned, for good");
    assert_eq!(
        script.starts_of("d-1"),
        1,
        "a permanent failure was tried again"
    );
    running.stop().await;
}

pub async fn a_batch_handler_gets_all_events_of_a_transaction_at_once<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let messages: Vec<_> = (0..40).map(|n| batched(["a", "b"][n % 2], n / 2)).collect();
    publish(f, &messages).await;
    let running = Running::start(worker(f, &script).await);
    let effects = effects(f, 40).await;
    for key in ["a", "b"] {
        assert_eq!(of_key(&effects, key), names(key, 20));
    }
    running.stop().await;
    assert_eq!(script.batches(), [40]);
}

pub async fn a_batch_is_halved_until_the_failing_event_is_found<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let keys: Vec<String> = (0..64).map(|n| format!("k{n}")).collect();
    let messages: Vec<_> = keys.iter().map(|key| batched(key, 0)).collect();
    script.plan("k37-0", vec![Act::FailForGood; 10]);
    publish(f, &messages).await;
    let running = Running::start(worker(f, &script).await);
    assert!(!effects(f, 63).await.contains(&"k37-0".to_owned()));
    until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    running.stop().await;
    assert!(
        script.batches().len() < 20,
        "one by one instead of halves: {:?}",
        script.batches()
    );
}

pub async fn a_batch_handler_can_name_the_failing_event<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let messages: Vec<_> = (0..8)
        .map(|n| batched(["a", "b", "c", "d"][n % 4], n / 4))
        .collect();
    script.plan("c-0", [Act::Name]);
    publish(f, &messages).await;
    let running = Running::start(worker(f, &script).await);
    assert_eq!(of_key(&effects(f, 6).await, "c"), Vec::<String>::new());
    let blocked = until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    assert_eq!(blocked.position.offset, 2);
    running.stop().await;
    assert_eq!(script.batches(), [8, 6]);
}

pub async fn an_interruption_counts_no_attempt<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", vec![Act::Conflict; 8]);
    script.plan(
        "a-1",
        [Act::Fail, Act::Conflict, Act::Conflict, Act::Conflict],
    );
    publish(f, &in_turns(&["a"], 2)).await;
    let running = Running::start(worker(f, &script).await.max_attempts(2));
    assert_eq!(effects(f, 2).await, names("a", 2));
    all_committed(f).await;
    assert!(running.status().is_healthy(), "{:?}", running.status());
    running.stop().await;
}

pub async fn a_panic_is_a_failed_attempt<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", [Act::Panic]);
    script.plan("b-0", vec![Act::Panic; 3]);
    publish(f, &in_turns(&["a", "b"], 1)).await;
    let running = Running::start(worker(f, &script).await.max_attempts(3));
    assert_eq!(effects(f, 1).await, ["a-0"]);
    let blocked = until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    assert_eq!((blocked.kind, blocked.attempts), (FailureKind::Panicked, 3));
    assert_eq!(blocked.error.as_ref(), "the handler panicked: as planned");
    running.stop().await;
}

pub async fn a_panic_while_decoding_blocks_only_its_key<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let mut messages = in_turns(&["a", "b", "c"], 2);
    let mut old = message("b", 9);
    old.kind = Kind::from_static(Upcast::KIND);
    messages.insert(0, old);
    publish(f, &messages).await;
    let running = Running::start(worker(f, &script).await);
    let effects = effects(f, 4).await;
    assert_eq!(of_key(&effects, "b"), Vec::<String>::new());
    let blocked = until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    assert_eq!(
        (blocked.kind, blocked.waiting),
        (FailureKind::Unreadable, 2)
    );
    assert!(blocked.error.contains("panicked"), "{}", blocked.error);
    running.stop().await;
}

pub async fn a_handler_that_exceeds_its_deadline_has_failed<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", [Act::Hang]);
    script.plan("b-0", vec![Act::Hang; 2]);
    publish(f, &in_turns(&["a", "b"], 1)).await;
    let worker = worker(f, &script)
        .await
        .max_attempts(2)
        .handler_deadline(Duration::from_millis(30));
    let running = Running::start(worker);
    assert_eq!(effects(f, 1).await, ["a-0"]);
    let blocked = until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    assert_eq!(
        (blocked.kind, blocked.attempts),
        (FailureKind::DeadlineExceeded, 2)
    );
    running.stop().await;
}

pub async fn failures_now_and_then_leave_the_others_their_transactions<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, commits) = (Script::new(), Arc::new(AtomicUsize::new(0)));
    let keys: Vec<String> = (0..60).map(|n| format!("k{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for (number, message) in in_turns(&keys, 5).iter().enumerate() {
        if number % 7 == 3 {
            let act = [Act::Fail, Act::Panic][number % 2].clone();
            script.plan(message.id.as_str(), [act]);
        }
    }
    publish(f, &in_turns(&keys, 5)).await;
    let counted = Arc::clone(&commits);
    let worker = worker(f, &script).await.on_commit(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let running = Running::start(worker);
    let effects = effects(f, 300).await;
    for key in keys {
        assert_eq!(of_key(&effects, key), names(key, 5));
    }
    all_committed(f).await;
    running.stop().await;
    let (calls, commits) = (script.started().len(), commits.load(Ordering::SeqCst));
    assert!(
        calls < 450 && commits < 150,
        "{calls} calls and {commits} commits for 300 messages and 43 failures"
    );
}
