//! Messages that cannot be handled.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainstay_messaging::{Delivery, Group, Position};

use super::{
    Fixture,
    harness::{
        Running, all_committed, begin, commit, committed, delivery, effects, group, in_turns,
        message, names, of_key, partition, publish, topic, until, worker,
    },
    script::{Act, Script},
};
use crate::{
    BlockKey, Error, Inbox as _,
    failure::{Failure, FailureKind, FailureOutcome, FailurePolicy},
};

pub async fn an_unreadable_record_blocks_only_its_key_and_stays_in_the_log<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    f.append_raw(&partition(0), "a").await;
    let mut messages = in_turns(&["a", "b", "c", "d"], 3);
    messages[1].payload = Some("{".into());
    messages[2].version = 9;
    publish(f, &messages).await;
    let running = Running::start(worker(f, &script).await);
    for _ in 0..2 {
        // Key d goes on; a waits behind the raw record, b and c behind their first messages.
        assert_eq!(of_key(&effects(f, 3).await, "d"), names("d", 3));
        let mut blocked = until("three blocked keys", async || {
            let blocked = running.status().blocked_keys;
            (blocked.len() == 3).then_some(blocked)
        })
        .await;
        blocked.sort_by_key(|blocked| blocked.position.offset);
        let offsets: Vec<_> = blocked.iter().map(|s| s.position.offset).collect();
        assert_eq!(offsets, [0, 2, 3]);
        assert!(
            blocked
                .iter()
                .all(|s| s.kind == FailureKind::Unreadable && s.attempts == 0)
        );
        assert_eq!(
            blocked.iter().map(|s| s.waiting).collect::<Vec<_>>(),
            [3, 2, 2]
        );
        // The record stays in the log, and has no effect.
        assert_eq!((committed(f).await, f.processed().await), (0, 3));
    }
    running.stop().await;
    assert_eq!(script.started().len(), 3);
}

pub async fn an_unreadable_message_that_was_processed_is_a_duplicate<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    // A newer build has processed it; then the service was rolled back to this build.
    let mut newer = message("a", 0);
    newer.version = 9;
    let mut tx = begin(f).await;
    let done = delivery(newer.clone(), 0);
    assert!(
        f.inbox()
            .admit(&mut tx, &group(), &done)
            .await
            .unwrap()
            .is_fresh()
    );
    commit(f, tx).await;
    publish(f, &[newer, message("a", 1)]).await;
    let running = Running::start(worker(f, &script).await);
    assert_eq!(effects(f, 1).await, ["a-1"]);
    all_committed(f).await;
    running.stop().await;
}

pub async fn exhausted_attempts_block_the_key_until_the_message_succeeds<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", vec![Act::Fail; 1_000]);
    publish(f, &in_turns(&["a", "b"], 2)).await;
    let policy = BlockKey::new().retry_after(Duration::from_millis(10));
    let worker = worker(f, &script).await;
    let worker = worker.max_attempts(2).failure_policy(policy);
    let running = Running::start(worker);
    assert_eq!(of_key(&effects(f, 2).await, "b"), names("b", 2));
    let blocked = until("the key to be blocked", async || {
        running.status().blocked_keys.pop()
    })
    .await;
    assert_eq!((blocked.kind, blocked.waiting), (FailureKind::Exhausted, 1));
    assert!(!running.status().is_healthy());
    until("it was tried again", async || {
        (script.starts_of("a-0") > 4).then_some(())
    })
    .await;
    script.heal();
    assert_eq!(of_key(&effects(f, 4).await, "a"), names("a", 2));
    all_committed(f).await;
    until("no key to be blocked", async || {
        running.status().is_healthy().then_some(())
    })
    .await;
    running.stop().await;
}

/// Stores messages, after failing so many times.
#[derive(Debug)]
struct DeadLetters {
    failures: AtomicUsize,
    stored: Mutex<Vec<(Position, FailureKind)>>,
}

impl DeadLetters {
    fn after(failures: usize) -> Arc<Self> {
        Arc::new(Self {
            failures: AtomicUsize::new(failures),
            stored: Mutex::default(),
        })
    }
}

#[async_trait]
impl FailurePolicy for DeadLetters {
    async fn on_failure(
        &self,
        _: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, Error> {
        let fails = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.failures.fetch_update(order, order, fails).is_ok() {
            return Err(Error::FailurePolicy("no room".into()));
        }
        let letter = (delivery.position.clone(), failure.kind);
        self.stored.lock().unwrap().push(letter);
        Ok(FailureOutcome::DeadLettered)
    }
}

pub async fn a_dead_lettered_message_lets_its_key_go_on<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, letters) = (Script::new(), DeadLetters::after(0));
    script.plan("a-0", [Act::FailForGood]);
    publish(f, &in_turns(&["a"], 3)).await;
    let running = Running::start(
        worker(f, &script)
            .await
            .failure_policy(Arc::clone(&letters)),
    );
    assert_eq!(effects(f, 2).await, ["a-1", "a-2"]);
    all_committed(f).await;
    running.stop().await;
    let stored = letters.stored.lock().unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(
        (stored[0].0.offset, stored[0].1),
        (0, FailureKind::Permanent)
    );
}

pub async fn a_failing_failure_policy_acknowledges_nothing<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, letters) = (Script::new(), DeadLetters::after(usize::MAX));
    script.plan("a-0", [Act::FailForGood]);
    publish(f, &in_turns(&["a", "b"], 2)).await;
    let running = Running::start(
        worker(f, &script)
            .await
            .failure_policy(Arc::clone(&letters)),
    );
    assert_eq!(of_key(&effects(f, 2).await, "b"), names("b", 2));
    let tried = usize::MAX - 5;
    until("several calls of the policy", async || {
        (letters.failures.load(Ordering::SeqCst) < tried).then_some(())
    })
    .await;
    assert_eq!((committed(f).await, f.effects().await.len()), (0, 2));
    letters.failures.store(0, Ordering::SeqCst);
    assert_eq!(of_key(&effects(f, 3).await, "a"), ["a-1"]);
    all_committed(f).await;
    running.stop().await;
    assert_eq!(letters.stored.lock().unwrap().len(), 1);
}
