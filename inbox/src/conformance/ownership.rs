//! Partitions that come and go.

use std::{sync::Arc, time::Duration};

use mainstay_database::Transactions as _;
use tokio::sync::Semaphore;

use super::{
    Fixture,
    harness::{
        Running, all_committed, delivery, effects, group, in_turns, message, names, publish, topic,
        until, worker,
    },
    script::{Act, Script},
};
use crate::Inbox as _;

pub async fn a_revocation_drains_what_is_in_flight<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let (script, gate) = (Script::new(), Arc::new(Semaphore::new(0)));
    let keys = ["a", "b", "c", "d", "e", "f"];
    publish(f, &in_turns(&keys, 1)).await;
    for key in keys {
        script.plan(&format!("{key}-0"), [Act::Wait(Arc::clone(&gate))]);
    }
    // All six are in one transaction, which waits in its first handler.
    let first = Running::start(f, worker(f, &script));
    until("the first handler", async || {
        (script.started().len() == 1).then_some(())
    })
    .await;
    let second = Running::start(f, worker(f, &script));
    // The first gives nothing back while a transaction is in flight there.
    until("the partition asked back", async || {
        gate.add_permits(1);
        (first.status().partitions.len() == 1 && second.status().partitions.len() == 1)
            .then_some(())
    })
    .await;
    assert_eq!(effects(f, 6).await.len(), 6);
    all_committed(f).await;
    assert_eq!(
        script.started().len(),
        6,
        "done by one, started by the other: {:?}",
        script.started()
    );
    first.stop().await;
    second.stop().await;
}

pub async fn a_revocation_abandons_what_does_not_end_in_time<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let (script, keys) = (Script::new(), ["a", "b", "c", "d", "e", "f"]);
    publish(f, &in_turns(&keys, 1)).await;
    // All six are in one transaction, whose first handler hangs, for as long as anybody waits.
    script.plan_for_the_first(Act::Hang);
    let patient = |script| worker(f, script).handler_deadline(Duration::from_secs(3_600));
    let first = Running::start(f, patient(&script));
    until("a handler", async || {
        (!script.started().is_empty()).then_some(())
    })
    .await;
    let second = Running::start(f, patient(&script));
    // The time it is given ends; it is rolled back and done anew, by whoever has the partition now.
    let mut effects = effects(f, 6).await;
    effects.sort();
    assert_eq!(effects, keys.map(|key| format!("{key}-0")));
    all_committed(f).await;
    assert_eq!(script.started().len(), 7);
    first.stop().await;
    second.stop().await;
}

pub async fn a_late_commit_of_a_zombie_is_a_duplicate<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a"], 2)).await;
    let running = Running::start(f, worker(f, &script));
    effects(f, 2).await;
    // A former holder, whose partition went while it stood still, comes to its first message only now.
    let mut zombie = f.database().begin().await.unwrap();
    let answer = f
        .inbox()
        .admit(&mut zombie, &group(), &delivery(message("a", 0), 0))
        .await
        .unwrap();
    assert!(!answer.is_fresh());
    drop(zombie);
    running.stop().await;
}

pub async fn a_former_holder_that_was_first_makes_a_duplicate_of_the_new_one<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a"], 2)).await;
    let mut zombie = f.database().begin().await.unwrap();
    let first = delivery(message("a", 0), 0);
    assert!(
        f.inbox()
            .admit(&mut zombie, &group(), &first)
            .await
            .unwrap()
            .is_fresh()
    );
    F::write(&mut zombie, "a-0").await.unwrap();
    // Its successor has the partition already, and waits for its transaction.
    let running = Running::start(f, worker(f, &script));
    until("the partition assigned", async || {
        (!running.status().partitions.is_empty()).then_some(())
    })
    .await;
    f.database().commit(zombie).await.unwrap();
    assert_eq!(effects(f, 2).await, names("a", 2));
    all_committed(f).await;
    running.stop().await;
    assert_eq!(script.started(), ["a-1"]);
}
