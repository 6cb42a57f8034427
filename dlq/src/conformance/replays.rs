//! Replays.

use std::time::Duration;

use mainstay_inbox::Admission;
use mainstay_messaging::Delivery;

use super::{
    Fixture, QueueOf,
    harness::{
        Act, Script, admit, all_committed, begin, by, commit, dead_letter, delivery, due, effects,
        group, halt, id_of, in_turns, key, letters, message, names, of_key, publish, replay,
        replayer, states, stop, topic, unkeyed, until, until_free, until_states, work,
    },
};
use crate::{
    DeadLetterId,
    State::{Dead, Discarded, Held, Replayed},
    store::{Due, Fault, Head, ReplayStore as _},
};

/// A dead letter `a-0` that is to be replayed, with so many held behind it.
async fn blocked<F: Fixture>(queue: &QueueOf<F>, held: usize) -> DeadLetterId {
    dead_letter::<F>(queue, &delivery(message("a", 0), 0)).await;
    for number in 1..=held {
        let next = delivery(message("a", number), i64::try_from(number).unwrap());
        assert_eq!(admit::<F>(queue, &next).await, Admission::Held);
    }
    let id = id_of::<F>(queue, "a-0").await;
    queue.desk().replay(id, &by()).await.unwrap();
    id
}

fn ready(head: Head) -> (DeadLetterId, Delivery) {
    match head {
        Head::Ready(id, delivery) => (id, *delivery),
        other => panic!("no message is ready: {other:?}"),
    }
}

fn name(delivery: &Delivery) -> &str {
    delivery.content.message().unwrap().id.as_str()
}

pub async fn a_replay_takes_the_lowest_message_and_waits_for_it<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    blocked::<F>(&queue, 2).await;
    let (store, due) = (queue.store(), due("a"));
    let mut tx = begin::<F>(&queue).await;
    let (id, first) = ready(store.head(&mut tx, &due).await.unwrap());
    assert_eq!(name(&first), "a-0");
    store.replayed(&mut tx, &due, id).await.unwrap();
    let mut other = std::pin::pin!(async {
        let mut tx = begin::<F>(&queue).await;
        let (_, next) = ready(store.head(&mut tx, &due).await.unwrap());
        name(&next).to_owned()
    });
    for _ in 0..20 {
        tokio::select! {
            biased;
            next = &mut other => panic!("{next} overtakes a-0"),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
    commit::<F>(&queue, tx).await;
    assert_eq!(other.await, "a-1");
}

pub async fn two_replays_at_once_make_one_effect<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    dead_letter::<F>(&queue, &delivery(unkeyed("n"), 0)).await;
    let id = id_of::<F>(&queue, "n").await;
    blocked::<F>(&queue, 0).await;
    queue.desk().replay(id, &by()).await.unwrap();
    let store = queue.store();
    for due in [Due::Letter(id), due("a")] {
        let mut tx = begin::<F>(&queue).await;
        let (id, _) = ready(store.head(&mut tx, &due).await.unwrap());
        store.replayed(&mut tx, &due, id).await.unwrap();
        let mut other = std::pin::pin!(async {
            let mut tx = begin::<F>(&queue).await;
            store.head(&mut tx, &due).await.unwrap()
        });
        for _ in 0..20 {
            tokio::select! {
                biased;
                head = &mut other => panic!("it did not wait: {head:?}"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        commit::<F>(&queue, tx).await;
        let head = other.await;
        assert!(matches!(head, Head::Empty), "{head:?} once more");
    }
    // Two operators ask, and two replayers work.
    let script = Script::new(&[]);
    for number in 0..20 {
        dead_letter::<F>(
            &queue,
            &delivery(message(&format!("k{number}"), 0), 100 + number),
        )
        .await;
    }
    let replayers = [replay::<F>(&queue, &script), replay::<F>(&queue, &script)];
    for number in 0..20 {
        let key = key(&format!("k{number}"));
        queue.desk().replay_key(&key, &by()).await.unwrap();
    }
    effects(f, 20).await;
    until_free::<F>(&queue).await;
    for replayer in replayers {
        halt(replayer).await;
    }
    assert_eq!(f.effects().await.len(), 20);
}

pub async fn effect_and_state_of_a_replay_commit_together<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let id = blocked::<F>(&queue, 0).await;
    let (store, due) = (queue.store(), due("a"));
    let mut tx = begin::<F>(&queue).await;
    assert_eq!(ready(store.head(&mut tx, &due).await.unwrap()).0, id);
    store.replayed(&mut tx, &due, id).await.unwrap();
    F::write(&mut tx, "lost").await.unwrap();
    drop(tx);
    assert_eq!(f.effects().await, Vec::<String>::new());
    assert_eq!(states::<F>(&queue).await, [("a-0".to_owned(), Dead)]);
    let mut tx = begin::<F>(&queue).await;
    assert_eq!(ready(store.head(&mut tx, &due).await.unwrap()).0, id);
    store.replayed(&mut tx, &due, id).await.unwrap();
    F::write(&mut tx, "made").await.unwrap();
    commit::<F>(&queue, tx).await;
    assert_eq!(f.effects().await, ["made"]);
    assert_eq!(states::<F>(&queue).await, [("a-0".to_owned(), Replayed)]);
}

pub async fn a_replay_that_fails_blocks_the_key_again<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-0", Act::Fail)]));
    let id = blocked::<F>(&queue, 1).await;
    let replayer = replay::<F>(&queue, &script);
    let details = until("the replay to fail", async || {
        let details = queue.desk().show(id).await.unwrap();
        (details.letter.attempts == 3).then_some(details)
    })
    .await;
    assert_eq!(queue.desk().show(id).await.unwrap().failures.len(), 2);
    let letter = details.letter;
    assert_eq!(
        (letter.state, letter.attempts, letter.due_at),
        (Dead, 3, None)
    );
    assert_eq!(letter.failure.as_deref(), Some("exhausted"));
    assert_eq!(script.starts_of("a-0"), 2, "max_attempts is 2");
    // Nobody tries it again, and nobody asked for a-1.
    assert_eq!(
        queue.store().due(&group(), 10).await.unwrap(),
        Vec::<Due>::new()
    );
    halt(replayer).await;
    let next = delivery(message("a", 2), 2);
    assert_eq!(admit::<F>(&queue, &next).await, Admission::Held);
    assert_eq!(f.effects().await, Vec::<String>::new());
}

pub async fn a_dead_letter_that_was_discarded_is_not_blocked_again<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    let id = blocked::<F>(&queue, 1).await;
    let (store, due) = (queue.store(), due("a"));
    let mut tx = begin::<F>(&queue).await;
    let (_, first) = ready(store.head(&mut tx, &due).await.unwrap());
    drop(tx); // its handler has failed
    queue.desk().discard(id, &by()).await.unwrap();
    let failure = mainstay_inbox::failure::Failure::new(
        mainstay_inbox::failure::FailureKind::Exhausted,
        1,
        "again",
    );
    let fault = Fault::of(&group(), &first, &failure, &[]);
    let mut tx = begin::<F>(&queue).await;
    assert!(!store.block_again(&mut tx, &due, id, &fault).await.unwrap());
    commit::<F>(&queue, tx).await;
    // The held message waits behind no dead letter, so it goes on.
    let replayer = replay::<F>(&queue, &script);
    assert_eq!(effects(f, 1).await, ["a-1"]);
    until_free::<F>(&queue).await;
    halt(replayer).await;
    until_states::<F>(&queue, &[("a-0", Discarded), ("a-1", Replayed)]).await;
}

pub async fn a_replayed_key_goes_on_in_order_and_live_messages_follow<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-1", Act::FailForGood)]));
    publish(f, &in_turns(&["a"], 6)).await;
    let (worker, replayer) = (work(f, &queue, &script).await, replay::<F>(&queue, &script));
    effects(f, 1).await;
    all_committed(f).await;
    script.plan("a-1", None);
    queue.desk().replay_key(&key("a"), &by()).await.unwrap();
    for number in 6..40 {
        publish(f, &[message("a", number)]).await;
    }
    assert_eq!(effects(f, 40).await, names("a", 0..40));
    until_free::<F>(&queue).await;
    publish(f, &[message("a", 40)]).await;
    assert_eq!(effects(f, 41).await, names("a", 0..41));
    all_committed(f).await;
    stop(worker).await;
    halt(replayer).await;
    let left = letters::<F>(&queue).await;
    assert!(left.iter().all(|letter| letter.state == Replayed));
}

pub async fn a_draining_key_goes_on_after_a_restart<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    let id = blocked::<F>(&queue, 3).await;
    // The process that replays the first one dies behind its commit.
    let (store, due) = (queue.store(), due("a"));
    let mut tx = begin::<F>(&queue).await;
    ready(store.head(&mut tx, &due).await.unwrap());
    store.replayed(&mut tx, &due, id).await.unwrap();
    commit::<F>(&queue, tx).await;
    let replayer = replay::<F>(&queue, &script);
    assert_eq!(effects(f, 3).await, names("a", 1..4));
    until_free::<F>(&queue).await;
    halt(replayer).await;
}

pub async fn a_held_message_that_fails_is_the_next_dead_letter<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-2", Act::FailForGood)]));
    blocked::<F>(&queue, 3).await;
    let replayer = replay::<F>(&queue, &script);
    let expected = [
        ("a-0", Replayed),
        ("a-1", Replayed),
        ("a-2", Dead),
        ("a-3", Held),
    ];
    until_states::<F>(&queue, &expected).await;
    assert_eq!(f.effects().await, names("a", 0..2));
    script.plan("a-2", None);
    queue.desk().replay_key(&key("a"), &by()).await.unwrap();
    assert_eq!(effects(f, 4).await, names("a", 0..4));
    until_free::<F>(&queue).await;
    halt(replayer).await;
}

pub async fn a_replay_whose_dependency_is_away_counts_nothing<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-0", Act::Away)]));
    let id = blocked::<F>(&queue, 1).await;
    let replayer = replay::<F>(&queue, &script);
    until("several tries", async || {
        (script.starts_of("a-0") > 4).then_some(())
    })
    .await;
    let details = queue.desk().show(id).await.unwrap();
    assert_eq!((details.letter.attempts, details.failures.len()), (1, 1));
    until("the reason to be shown", async || {
        replayer
            .status()
            .last_error
            .filter(|error| error.contains("away"))
    })
    .await;
    script.plan("a-0", None);
    assert_eq!(effects(f, 2).await, names("a", 0..2));
    until_free::<F>(&queue).await;
    halt(replayer).await;
}

pub async fn a_replay_that_exceeds_its_deadline_has_failed<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-0", Act::Hang)]));
    let id = blocked::<F>(&queue, 0).await;
    let replayer = replayer::<F>(&queue, &script)
        .handler_deadline(Duration::from_millis(20))
        .spawn();
    let letter = until("the replay to fail", async || {
        let letter = queue.desk().show(id).await.unwrap().letter;
        (letter.attempts == 3).then_some(letter)
    })
    .await;
    assert_eq!(letter.failure.as_deref(), Some("deadline_exceeded"));
    halt(replayer).await;
    assert_eq!(f.effects().await, Vec::<String>::new());
}

pub async fn a_panic_in_a_replay_is_a_failure<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-0", Act::Panic)]));
    let id = blocked::<F>(&queue, 0).await;
    let replayer = replay::<F>(&queue, &script);
    let letter = until("the replay to fail", async || {
        let letter = queue.desk().show(id).await.unwrap().letter;
        (letter.attempts == 3).then_some(letter)
    })
    .await;
    assert_eq!(letter.failure.as_deref(), Some("panicked"));
    assert!(replayer.status().running);
    halt(replayer).await;
}

pub async fn delayed_retries_replay_what_may_heal<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let delays = [Duration::from_millis(20), Duration::from_millis(30)];
    let (queue, script) = (f.queue(&delays), Script::new(&[("a-0", Act::Fail)]));
    publish(f, &in_turns(&["a"], 3)).await;
    let (worker, replayer) = (work(f, &queue, &script).await, replay::<F>(&queue, &script));
    let letter = until("all delays to have passed", async || {
        let letter = letters::<F>(&queue).await.into_iter().next()?;
        (letter.retries == 2 && letter.due_at.is_none()).then_some(letter)
    })
    .await;
    // Two attempts of the worker, and two in each replay.
    assert_eq!((letter.attempts, script.starts_of("a-0")), (6, 6));
    assert_eq!(f.effects().await, Vec::<String>::new());
    script.plan("a-0", None);
    queue.desk().replay(letter.id, &by()).await.unwrap();
    assert_eq!(effects(f, 3).await, names("a", 0..3));
    stop(worker).await;
    halt(replayer).await;
}

pub async fn delayed_retries_leave_permanent_failures<F: Fixture>(f: &F) {
    let queue = f.queue(&[Duration::ZERO]);
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    assert_eq!(letters::<F>(&queue).await[0].due_at, None);
    assert_eq!(
        queue.store().due(&group(), 10).await.unwrap(),
        Vec::<Due>::new()
    );
}

pub async fn a_dead_letter_replays_after_its_processed_record_was_pruned<F: Fixture>(f: &F) {
    use mainstay_inbox::store::Retention as _;
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    blocked::<F>(&queue, 1).await;
    let now = queue.now().await.unwrap();
    let below = mainstay_messaging::Position {
        partition: super::harness::partition(),
        offset: 10,
    };
    queue
        .checkpoint(&group(), &[below], now, Duration::ZERO)
        .await
        .unwrap();
    let mut cursor = Some(0);
    while let Some(from) = cursor {
        let horizon = now + Duration::from_secs(1);
        cursor = queue
            .prune(&group(), horizon, from, 100)
            .await
            .unwrap()
            .next;
    }
    assert_eq!(f.processed().await, 0);
    // It comes again, and is not handled beside the queue.
    for number in 0..2 {
        let again = delivery(message("a", number), 20);
        assert_eq!(admit::<F>(&queue, &again).await, Admission::Held);
    }
    let replayer = replay::<F>(&queue, &script);
    assert_eq!(effects(f, 2).await, names("a", 0..2));
    until_free::<F>(&queue).await;
    halt(replayer).await;
    assert_eq!(of_key(&f.effects().await, "a"), names("a", 0..2));
}
