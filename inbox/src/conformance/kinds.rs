//! Kinds of messages that have no handler.

use std::sync::Arc;

use super::{
    Fixture,
    harness::{
        Running, WorkerOf, all_committed, batched, begin, commit, committed, delivery, effects,
        group, message, names, of_key, publish, topic, until, worker,
    },
    script::{Script, count},
};
use crate::{Handlers, Inbox as _, Worker, failure::FailureKind};

/// A build from before [`Batched`](super::script::Batched), which blocks what it does not know.
async fn old_build<F: Fixture>(f: &F, script: &Arc<Script>) -> WorkerOf<F> {
    let consumer = f.consumer(&group(), &topic()).await;
    let known = Handlers::new()
        .with_state(Arc::clone(script))
        .on(count::<F>);
    Worker::new(f.inbox(), consumer)
        .handlers(known)
        .block_unknown_kinds()
}

pub async fn a_blocked_kind_waits_in_the_log_for_a_build_that_handles_it<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let of_a = [message("a", 0), batched("a", 1), message("a", 2)];
    publish(f, &of_a).await;
    publish(f, &[message("b", 0)]).await;
    let old = Running::start(old_build(f, &script).await);
    let before = effects(f, 2).await;
    assert_eq!(
        (of_key(&before, "a"), of_key(&before, "b")),
        (names("a", 1), names("b", 1))
    );
    let blocked = until("the key to be blocked", async || {
        old.status()
            .blocked_keys
            .pop()
            .filter(|key| key.waiting == 1)
    })
    .await;
    assert_eq!(
        (blocked.kind, blocked.attempts),
        (FailureKind::UnknownKind, 0)
    );
    assert_eq!(blocked.position.offset, 1);
    assert!(blocked.error.contains("Batched"), "{}", blocked.error);
    // The next build joins while the old one runs, as in a rolling deployment.
    let new = Running::start(worker(f, &script).await);
    assert!(committed(f).await <= 1);
    old.stop().await;
    assert_eq!(of_key(&effects(f, 4).await, "a"), names("a", 3));
    all_committed(f).await;
    assert!(new.status().blocked_keys.is_empty());
    new.stop().await;
}

pub async fn a_blocked_kind_that_a_newer_build_processed_is_a_duplicate<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    let newer = batched("a", 0);
    let mut tx = begin(f).await;
    let done = delivery(newer.clone(), 0);
    let admitted = f.inbox().admit(&mut tx, &group(), &done).await;
    assert!(admitted.unwrap().is_fresh());
    commit(f, tx).await;
    publish(f, &[newer, message("a", 1)]).await;
    let old = Running::start(old_build(f, &script).await);
    assert_eq!(effects(f, 1).await, ["a-1"]);
    all_committed(f).await;
    old.stop().await;
}

pub async fn an_ignored_kind_is_acknowledged_where_unknown_kinds_are_blocked<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &[batched("a", 0), message("a", 1)]).await;
    let worker = old_build(f, &script).await.ignore_kinds(&["Batched"]);
    let running = Running::start(worker);
    assert_eq!(effects(f, 1).await, ["a-1"]);
    all_committed(f).await;
    assert!(running.status().is_healthy());
    running.stop().await;
}
