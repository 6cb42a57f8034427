//! What cannot be handled.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainstay_database::Transactions as _;
use mainstay_messaging::{Delivery, Group, Position};

use super::{
    Fixture,
    harness::{
        Running, all_committed, committed, delivery, effects, group, in_turns, message, names,
        of_key, partition, publish, topic, until, worker,
    },
    script::{Act, Script},
};
use crate::{BlockKey, Error, Failure, FailureKind, FailureOutcome, FailurePolicy, Inbox as _};

pub async fn what_cannot_be_read_stops_only_its_key_and_is_kept<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    f.append_raw(&partition(0), "a").await;
    let mut messages = in_turns(&["a", "b", "c", "d"], 3);
    messages[1].payload = Some("{".into());
    messages[2].version = 9;
    publish(f, &messages).await;
    let running = Running::start(f, worker(f, &script));
    for _ in 0..2 {
        // Key d flows; a waits behind the raw record, b and c behind their first messages.
        assert_eq!(of_key(&effects(f, 3).await, "d"), names("d", 3));
        let mut stopped = until("three keys stopped", async || {
            let stopped = running.status().stopped;
            (stopped.len() == 3).then_some(stopped)
        })
        .await;
        stopped.sort_by_key(|stopped| stopped.position.offset);
        let offsets: Vec<_> = stopped.iter().map(|s| s.position.offset).collect();
        assert_eq!(offsets, [0, 2, 3]);
        assert!(
            stopped
                .iter()
                .all(|s| s.kind == FailureKind::Unreadable && s.attempts == 0)
        );
        assert_eq!(
            stopped.iter().map(|s| s.waiting).collect::<Vec<_>>(),
            [3, 2, 2]
        );
        // The record stays in the log, and nothing is done for it.
        assert_eq!((committed(f).await, f.marks().await), (0, 3));
    }
    running.stop().await;
    assert_eq!(script.started().len(), 3);
}

pub async fn what_cannot_be_read_but_was_done_is_a_duplicate<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    // A newer build has handled it, and was rolled back to this one.
    let mut newer = message("a", 0);
    newer.version = 9;
    let mut tx = f.database().begin().await.unwrap();
    let done = delivery(newer.clone(), 0);
    assert!(
        f.inbox()
            .admit(&mut tx, &group(), &done)
            .await
            .unwrap()
            .is_fresh()
    );
    f.database().commit(tx).await.unwrap();
    publish(f, &[newer, message("a", 1)]).await;
    let running = Running::start(f, worker(f, &script));
    assert_eq!(effects(f, 1).await, ["a-1"]);
    all_committed(f).await;
    running.stop().await;
}

pub async fn exhausted_attempts_stop_the_key_until_it_heals<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    script.plan("a-0", vec![Act::Fail; 1_000]);
    publish(f, &in_turns(&["a", "b"], 2)).await;
    let parking = BlockKey::new().retry_after(Duration::from_millis(10));
    let worker = worker(f, &script).attempts(2).parking(Arc::new(parking));
    let running = Running::start(f, worker);
    assert_eq!(of_key(&effects(f, 2).await, "b"), names("b", 2));
    let stopped = until("the key stopped", async || running.status().stopped.pop()).await;
    assert_eq!((stopped.kind, stopped.waiting), (FailureKind::Exhausted, 1));
    assert!(!running.status().is_healthy());
    until("it was tried again", async || {
        (script.starts_of("a-0") > 4).then_some(())
    })
    .await;
    script.heal();
    assert_eq!(of_key(&effects(f, 4).await, "a"), names("a", 2));
    all_committed(f).await;
    until("nothing is stopped", async || {
        running.status().is_healthy().then_some(())
    })
    .await;
    running.stop().await;
}

/// Keeps what it is given, after failing so many times.
#[derive(Debug)]
struct Shelf {
    failures: AtomicUsize,
    kept: Mutex<Vec<(Position, FailureKind)>>,
}

impl Shelf {
    fn after(failures: usize) -> Arc<Self> {
        Arc::new(Self {
            failures: AtomicUsize::new(failures),
            kept: Mutex::default(),
        })
    }
}

#[async_trait]
impl FailurePolicy for Shelf {
    async fn park(
        &self,
        _: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, Error> {
        let fails = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.failures.fetch_update(order, order, fails).is_ok() {
            return Err(Error::FailurePolicy("the shelf is full".into()));
        }
        let kept = (delivery.position.clone(), failure.kind);
        self.kept.lock().unwrap().push(kept);
        Ok(FailureOutcome::Kept)
    }
}

pub async fn a_message_that_is_kept_elsewhere_lets_its_key_go_on<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, shelf) = (Script::new(), Shelf::after(0));
    script.plan("a-0", [Act::FailForGood]);
    publish(f, &in_turns(&["a"], 3)).await;
    let running = Running::start(f, worker(f, &script).parking(shelf.clone()));
    assert_eq!(effects(f, 2).await, ["a-1", "a-2"]);
    all_committed(f).await;
    running.stop().await;
    let kept = shelf.kept.lock().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].0.offset, kept[0].1), (0, FailureKind::Permanent));
}

pub async fn a_failing_parking_acknowledges_nothing<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (script, shelf) = (Script::new(), Shelf::after(usize::MAX));
    script.plan("a-0", [Act::FailForGood]);
    publish(f, &in_turns(&["a", "b"], 2)).await;
    let running = Running::start(f, worker(f, &script).parking(shelf.clone()));
    assert_eq!(of_key(&effects(f, 2).await, "b"), names("b", 2));
    let tried = usize::MAX - 5;
    until("several attempts to park", async || {
        (shelf.failures.load(Ordering::SeqCst) < tried).then_some(())
    })
    .await;
    assert_eq!((committed(f).await, f.effects().await.len()), (0, 2));
    shelf.failures.store(0, Ordering::SeqCst);
    assert_eq!(of_key(&effects(f, 3).await, "a"), ["a-1"]);
    all_committed(f).await;
    running.stop().await;
    assert_eq!(shelf.kept.lock().unwrap().len(), 1);
}
