//! Partitions that are assigned and revoked.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{
    Fixture,
    harness::{
        Running, all_committed, begin, commit, delivery, effects, group, in_turns, message, names,
        publish, topic, until, worker,
    },
    script::{Act, Script},
};
use crate::Inbox as _;

pub async fn a_revocation_drains_running_transactions<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let (script, gate) = (Script::new(), Arc::new(Semaphore::new(0)));
    let keys = ["a", "b", "c", "d", "e", "f"];
    publish(f, &in_turns(&keys, 1)).await;
    for key in keys {
        script.plan(&format!("{key}-0"), [Act::Wait(Arc::clone(&gate))]);
    }
    // All six are in one transaction, which waits in its first handler.
    let first = Running::start(worker(f, &script).await);
    until("the first handler", async || {
        (script.started().len() == 1).then_some(())
    })
    .await;
    let second = Running::start(worker(f, &script).await);
    // The first releases no partition while a transaction runs there.
    until("a partition to be released", async || {
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
        "handled by one worker, started by the other: {:?}",
        script.started()
    );
    first.stop().await;
    second.stop().await;
}

pub async fn a_revocation_abandons_transactions_that_do_not_end_in_time<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let (script, keys) = (Script::new(), ["a", "b", "c", "d", "e", "f"]);
    publish(f, &in_turns(&keys, 1)).await;
    // All six are in one transaction, whose first handler hangs.
    script.plan_for_the_first(Act::Hang);
    let patient = async |script| {
        let worker = worker(f, script).await;
        worker.handler_deadline(Duration::from_secs(3_600))
    };
    let first = Running::start(patient(&script).await);
    until("a handler", async || {
        (!script.started().is_empty()).then_some(())
    })
    .await;
    let second = Running::start(patient(&script).await);
    // At the deadline it is abandoned and rolled back, and the partitions' owners handle its
    // messages again.
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
    let running = Running::start(worker(f, &script).await);
    effects(f, 2).await;
    // A former owner, which stood still while its partition was lost, admits its first message only
    // now.
    let mut zombie = begin(f).await;
    let answer = f
        .inbox()
        .admit(&mut zombie, &group(), &delivery(message("a", 0), 0))
        .await
        .unwrap();
    assert!(!answer.is_fresh());
    drop(zombie);
    running.stop().await;
}

pub async fn a_former_owner_that_commits_first_makes_the_new_one_a_duplicate<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let script = Script::new();
    publish(f, &in_turns(&["a"], 2)).await;
    let mut zombie = begin(f).await;
    let first = delivery(message("a", 0), 0);
    assert!(
        f.inbox()
            .admit(&mut zombie, &group(), &first)
            .await
            .unwrap()
            .is_fresh()
    );
    F::write(&mut zombie, "a-0").await.unwrap();
    // The new owner has the partition already, and waits for the zombie's transaction.
    let running = Running::start(worker(f, &script).await);
    until("the partition assigned", async || {
        (!running.status().partitions.is_empty()).then_some(())
    })
    .await;
    commit(f, zombie).await;
    assert_eq!(effects(f, 2).await, names("a", 2));
    all_committed(f).await;
    running.stop().await;
    assert_eq!(script.started(), ["a-1"]);
}
