//! Dead letters and what is held behind them.

use std::{sync::Arc, time::Duration};

use mainstay_inbox::{Admission, Inbox as _};
use mainstay_messaging::{
    Group, Headers, Topic,
    broker::{Content, Raw},
};

use super::{
    Fixture,
    harness::{
        Act, Script, admit, all_committed, begin, by, commit, dead_letter, delivery, due, effects,
        group, halt, id_of, in_turns, key, letters, message, names, of_key, partition, publish,
        replay, states, stop, topic, unkeyed, until_free, until_states, work,
    },
};
use crate::{
    State::{Dead, Discarded, Held},
    store::{DeadLetterStore as _, DeskStore as _, Due, Fault, ReplayStore as _},
};

pub async fn a_dead_letter_is_kept_and_later_messages_of_its_key_are_held_in_order<F: Fixture>(
    f: &F,
) {
    f.create_topic(&topic(), 1).await;
    let (queue, script) = (f.queue(&[]), Script::new(&[("a-1", Act::FailForGood)]));
    publish(f, &in_turns(&["a", "b", "c"], 5)).await;
    let worker = work(f, &queue, &script).await;
    let effects = effects(f, 11).await;
    all_committed(f).await;
    stop(worker).await;
    assert_eq!(of_key(&effects, "a"), ["a-0"]);
    for other in ["b", "c"] {
        assert_eq!(of_key(&effects, other), names(other, 0..5));
    }
    let expected = [("a-1", Dead), ("a-2", Held), ("a-3", Held), ("a-4", Held)];
    until_states::<F>(&queue, &expected).await;
    assert_eq!(f.processed().await, 15);
    let details = queue
        .desk()
        .show(id_of::<F>(&queue, "a-1").await)
        .await
        .unwrap();
    let letter = &details.letter;
    assert_eq!(
        (letter.failure.as_deref(), letter.attempts),
        (Some("permanent"), 1)
    );
    assert_eq!(letter.error.as_deref(), Some("a-1 is poison"));
    assert_eq!(letter.position.offset, 3);
    assert_eq!((details.held, details.failures.len()), (3, 1));
    let last = id_of::<F>(&queue, "a-4").await;
    let last = queue.desk().show(last).await.unwrap().letter;
    let head = queue.desk().head_of(&last).await.unwrap();
    assert_eq!(head.map(|head| head.id), Some(letter.id));
    let head = queue.desk().head_of(letter).await.unwrap();
    assert_eq!(head.map(|head| head.id), None, "it is no held message");
    let kept = details.content.message().unwrap();
    assert_eq!(kept.id.as_str(), "a-1");
    assert_eq!(kept.payload, message("a", 1).payload);
}

pub async fn a_dead_letter_commits_with_its_record_and_its_blocked_key<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let (first, second) = (delivery(message("a", 0), 0), delivery(message("a", 1), 1));
    let failure = mainstay_inbox::failure::Failure::new(
        mainstay_inbox::failure::FailureKind::Permanent,
        1,
        "poison",
    );
    let fault = Fault::of(&group(), &first, &failure, &[]);
    let mut tx = begin::<F>(&queue).await;
    assert!(
        queue
            .admit(&mut tx, &group(), &first)
            .await
            .unwrap()
            .is_fresh()
    );
    let store = queue.store();
    store.keep(&mut tx, &group(), &first, &fault).await.unwrap();
    drop(tx);
    assert_eq!(f.processed().await, 0);
    assert!(letters::<F>(&queue).await.is_empty());
    assert_eq!(admit::<F>(&queue, &second).await, Admission::Fresh);
    dead_letter::<F>(&queue, &first).await;
    assert_eq!(f.processed().await, 2);
    assert_eq!(states::<F>(&queue).await, [("a-0".to_owned(), Dead)]);
    let third = delivery(message("a", 2), 2);
    assert_eq!(admit::<F>(&queue, &third).await, Admission::Held);
}

pub async fn a_message_that_was_processed_is_not_dead_lettered<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let first = delivery(message("a", 0), 0);
    assert_eq!(admit::<F>(&queue, &first).await, Admission::Fresh);
    // A former owner of the partition has failed on it.
    dead_letter::<F>(&queue, &first).await;
    assert!(letters::<F>(&queue).await.is_empty());
    let next = delivery(message("a", 1), 1);
    assert_eq!(admit::<F>(&queue, &next).await, Admission::Fresh);
}

pub async fn a_message_behind_a_dead_letter_that_is_being_kept_is_held<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let (first, second) = (delivery(message("a", 0), 0), delivery(message("a", 1), 1));
    let failure = mainstay_inbox::failure::Failure::new(
        mainstay_inbox::failure::FailureKind::Permanent,
        1,
        "poison",
    );
    let fault = Fault::of(&group(), &first, &failure, &[]);
    let mut tx = begin::<F>(&queue).await;
    assert!(
        queue
            .admit(&mut tx, &group(), &first)
            .await
            .unwrap()
            .is_fresh()
    );
    queue
        .store()
        .keep(&mut tx, &group(), &first, &fault)
        .await
        .unwrap();
    // The next owner reads both, and waits for the record of the first.
    let mut other = std::pin::pin!(async {
        let mut tx = begin::<F>(&queue).await;
        let batch = [&first, &second];
        let answers = queue.admit_batch(&mut tx, &group(), &batch).await.unwrap();
        commit::<F>(&queue, tx).await;
        answers
    });
    still_waits(&mut other).await;
    commit::<F>(&queue, tx).await;
    assert_eq!(other.await, [Admission::Duplicate, Admission::Held]);
    assert_eq!(states::<F>(&queue).await.len(), 2);
}

/// Gives `other` time to end, and checks that it does not.
async fn still_waits<T: std::fmt::Debug>(other: &mut (impl Future<Output = T> + Unpin)) {
    for _ in 0..20 {
        tokio::select! {
            biased;
            answer = &mut *other => panic!("it did not wait: {answer:?}"),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
}

pub async fn a_message_that_is_kept_is_held_although_its_record_was_pruned<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let dead = [delivery(message("a", 0), 0), delivery(unkeyed("n"), 1)];
    for delivery in &dead {
        dead_letter::<F>(&queue, delivery).await;
    }
    let held = delivery(message("a", 1), 2);
    assert_eq!(admit::<F>(&queue, &held).await, Admission::Held);
    // As admission looks once it has inserted their records anew.
    let mut tx = begin::<F>(&queue).await;
    let again = [&dead[0], &dead[1], &held];
    let store = queue.store();
    assert_eq!(
        store.hold(&mut tx, &group(), &again).await.unwrap(),
        [0, 1, 2]
    );
    commit::<F>(&queue, tx).await;
    assert_eq!(letters::<F>(&queue).await.len(), 3);
}

pub async fn a_message_without_a_key_blocks_nothing<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (queue, script) = (f.queue(&[]), Script::new(&[("n-0", Act::FailForGood)]));
    publish(f, &[unkeyed("n-0"), unkeyed("n-1"), unkeyed("n-2")]).await;
    let (worker, replayer) = (work(f, &queue, &script).await, replay::<F>(&queue, &script));
    effects(f, 2).await;
    all_committed(f).await;
    until_states::<F>(&queue, &[("n-0", Dead)]).await;
    let totals = queue.desk().totals(&group()).await.unwrap();
    assert_eq!((totals.dead, totals.blocked_keys), (1, 0));
    script.plan("n-0", None);
    let id = id_of::<F>(&queue, "n-0").await;
    queue.desk().replay(id, &by()).await.unwrap();
    assert_eq!(effects(f, 3).await.last().unwrap(), "n-0");
    stop(worker).await;
    halt(replayer).await;
}

pub async fn a_record_that_is_not_a_message_is_kept_byte_for_byte<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    f.append_raw(&partition(), "a").await;
    let mut newer = message("b", 0);
    newer.version = 9;
    newer.payload = Some(vec![0xff, 0].into());
    newer.headers.append("h", vec![0xfe, 0]);
    publish(f, &[message("a", 0), newer.clone(), message("c", 0)]).await;
    let worker = work(f, &queue, &script).await;
    effects(f, 1).await;
    all_committed(f).await;
    stop(worker).await;
    let mut found = letters::<F>(&queue).await;
    found.sort_by_key(|letter| letter.position.offset);
    let kinds: Vec<_> = found
        .iter()
        .map(|letter| (letter.kind.as_deref(), letter.state))
        .collect();
    let counted = Some("Counted");
    assert_eq!(kinds, [(None, Dead), (counted, Held), (counted, Dead)]);
    assert_eq!(found[0].failure.as_deref(), Some("unreadable"));
    let kept = queue.desk().show(found[2].id).await.unwrap();
    assert_eq!(kept.content.message(), Some(&newer));
    let Content::Raw(raw) = queue.desk().show(found[0].id).await.unwrap().content else {
        panic!("it became a message");
    };
    assert_eq!(raw.key.as_deref(), Some(&b"a"[..]));

    // Whatever a record holds, it is kept.
    let mut headers = Headers::new();
    headers.append("\0", vec![0xff]);
    let strange = Raw {
        key: Some(vec![0xff, 0].into()),
        headers,
        payload: Some(vec![0, 0xff].into()),
        reason: "no\0 envelope".to_owned(),
    };
    let mut record = delivery(message("x", 0), 77);
    record.content = Content::Raw(strange.clone());
    dead_letter::<F>(&queue, &record).await;
    let id = letters::<F>(&queue).await.last().unwrap().id;
    let kept = queue.desk().show(id).await.unwrap().content;
    assert_eq!(format!("{kept:?}"), format!("{:?}", Content::Raw(strange)));
}

pub async fn keys_of_other_topics_and_consumers_are_not_held<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    let mut elsewhere = delivery(message("a", 1), 1);
    elsewhere.position.partition.topic = Topic::from_static("refunds");
    assert_eq!(admit::<F>(&queue, &elsewhere).await, Admission::Fresh);
    let other = delivery(message("b", 1), 2);
    assert_eq!(admit::<F>(&queue, &other).await, Admission::Fresh);
    let mut tx = begin::<F>(&queue).await;
    let shipping = Group::from_static("shipping");
    let next = delivery(message("a", 2), 3);
    let answer = queue.admit(&mut tx, &shipping, &next).await.unwrap();
    assert_eq!(answer, Admission::Fresh);
}

pub async fn a_hand_back_waits_for_a_message_that_is_being_held<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    let id = id_of::<F>(&queue, "a-0").await;
    let mut tx = begin::<F>(&queue).await;
    let second = delivery(message("a", 1), 1);
    let answer = queue.admit(&mut tx, &group(), &second).await.unwrap();
    assert_eq!(answer, Admission::Held);
    // Meanwhile the dead letter is discarded: nothing seems to be left of the key.
    let mut handing_back = std::pin::pin!(async {
        queue.desk().discard(id, &by()).await.unwrap();
        let mut tx = begin::<F>(&queue).await;
        let freed = queue.store().hand_back(&mut tx, &key("a")).await.unwrap();
        commit::<F>(&queue, tx).await;
        freed
    });
    still_waits(&mut handing_back).await;
    commit::<F>(&queue, tx).await;
    assert!(!handing_back.await, "the held message was forgotten");
    let third = delivery(message("a", 2), 2);
    assert_eq!(admit::<F>(&queue, &third).await, Admission::Held);
}

pub async fn a_message_restored_during_a_hand_back_blocks_its_key<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    let id = id_of::<F>(&queue, "a-0").await;
    queue.desk().discard(id, &by()).await.unwrap();
    let mut tx = begin::<F>(&queue).await;
    assert!(queue.store().hand_back(&mut tx, &key("a")).await.unwrap());
    let desk = queue.desk();
    let by = by();
    let mut restoring = std::pin::pin!(desk.restore(id, &by));
    still_waits(&mut restoring).await;
    commit::<F>(&queue, tx).await;
    restoring.await.unwrap();
    let next = delivery(message("a", 1), 1);
    assert_eq!(admit::<F>(&queue, &next).await, Admission::Held);
}

pub async fn a_hand_back_waits_for_a_message_that_is_being_restored<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    let id = id_of::<F>(&queue, "a-0").await;
    queue.desk().discard(id, &by()).await.unwrap();
    let (store, mut tx) = (queue.store(), begin::<F>(&queue).await);
    let letter = store.lock(&mut tx, id).await.unwrap().unwrap();
    store.resolve(&mut tx, &letter, Dead, false).await.unwrap();
    let mut handing_back = std::pin::pin!(async {
        let mut tx = begin::<F>(&queue).await;
        let freed = queue.store().hand_back(&mut tx, &key("a")).await.unwrap();
        commit::<F>(&queue, tx).await;
        freed
    });
    still_waits(&mut handing_back).await;
    commit::<F>(&queue, tx).await;
    assert!(!handing_back.await, "the restored message was forgotten");
    let next = delivery(message("a", 1), 1);
    assert_eq!(admit::<F>(&queue, &next).await, Admission::Held);
}

pub async fn an_empty_key_is_handed_back_by_the_sweep<F: Fixture>(f: &F) {
    let (queue, script) = (f.queue(&[]), Script::new(&[]));
    dead_letter::<F>(&queue, &delivery(message("a", 0), 0)).await;
    // Whoever resolved the last message has died, and left a key that neither drains nor waits.
    let id = id_of::<F>(&queue, "a-0").await;
    let mut tx = begin::<F>(&queue).await;
    let store = queue.store();
    let letter = store.lock(&mut tx, id).await.unwrap().unwrap();
    store
        .resolve(&mut tx, &letter, Discarded, false)
        .await
        .unwrap();
    commit::<F>(&queue, tx).await;
    assert_eq!(queue.store().due(&group(), 10).await.unwrap(), [due("a")]);
    let replayer = replay::<F>(&queue, &Arc::clone(&script));
    until_free::<F>(&queue).await;
    halt(replayer).await;
    let next = delivery(message("a", 1), 1);
    assert_eq!(admit::<F>(&queue, &next).await, Admission::Fresh);
    assert_eq!(states::<F>(&queue).await, [("a-0".to_owned(), Discarded)]);
    assert_eq!(
        queue.store().due(&group(), 10).await.unwrap(),
        Vec::<Due>::new()
    );
}
