//! Answers of the store.

use std::time::Duration;

use mainstay_messaging::{
    Group, Headers, Source,
    broker::{Content, Delivery, Raw},
};

use super::{
    Fixture,
    harness::{begin, commit, delivery, group, message},
};
use crate::{
    Admission::{self, Duplicate, Fresh},
    Inbox as _,
};

/// Admits in a transaction of its own, with an effect if the message is fresh.
async fn admit<F: Fixture>(f: &F, consumer: &Group, delivery: &Delivery) -> Admission {
    let mut tx = begin(f).await;
    let admission = f.inbox().admit(&mut tx, consumer, delivery).await.unwrap();
    if admission.is_fresh() {
        F::write(&mut tx, "effect").await.unwrap();
    }
    commit(f, tx).await;
    admission
}

pub async fn effect_and_processed_record_commit_or_roll_back_together<F: Fixture>(f: &F) {
    let delivery = delivery(message("a", 0), 0);
    let mut tx = begin(f).await;
    let admission = f.inbox().admit(&mut tx, &group(), &delivery).await.unwrap();
    assert_eq!(admission, Fresh);
    F::write(&mut tx, "lost").await.unwrap();
    drop(tx);
    assert_eq!((f.effects().await.len(), f.processed().await), (0, 0));
    assert_eq!(admit(f, &group(), &delivery).await, Fresh);
    assert_eq!((f.effects().await.len(), f.processed().await), (1, 1));
}

pub async fn a_committed_message_is_a_duplicate_from_then_on<F: Fixture>(f: &F) {
    let first = delivery(message("a", 0), 0);
    assert_eq!(admit(f, &group(), &first).await, Fresh);
    // The same message at another position: published twice.
    let again = delivery(message("a", 0), 7);
    assert_eq!(admit(f, &group(), &again).await, Duplicate);
    let next = delivery(message("a", 1), 8);
    let mut tx = begin(f).await;
    let answers = f
        .inbox()
        .admit_batch(&mut tx, &group(), &[&again, &next, &first])
        .await
        .unwrap();
    assert_eq!(answers, [Duplicate, Fresh, Duplicate]);
}

pub async fn the_second_delivery_in_one_batch_is_a_duplicate<F: Fixture>(f: &F) {
    let (a, b, c) = (
        delivery(message("a", 0), 0),
        delivery(message("b", 0), 1),
        delivery(message("a", 0), 2),
    );
    let mut tx = begin(f).await;
    let batch = [&a, &b, &c, &b];
    let answers = f
        .inbox()
        .admit_batch(&mut tx, &group(), &batch)
        .await
        .unwrap();
    assert_eq!(answers, [Fresh, Fresh, Duplicate, Duplicate]);
    assert_eq!(
        f.inbox().admit_batch(&mut tx, &group(), &[]).await.unwrap(),
        []
    );
}

pub async fn each_consumer_admits_a_message_once<F: Fixture>(f: &F) {
    let delivery = delivery(message("a", 0), 0);
    for consumer in ["billing", "shipping"].map(Group::from_static) {
        assert_eq!(admit(f, &consumer, &delivery).await, Fresh);
        assert_eq!(admit(f, &consumer, &delivery).await, Duplicate);
    }
}

pub async fn an_id_is_unique_only_together_with_its_source<F: Fixture>(f: &F) {
    let mut other = message("a", 0);
    other.source = Source::from_static("/another");
    assert_eq!(
        admit(f, &group(), &delivery(message("a", 0), 0)).await,
        Fresh
    );
    assert_eq!(admit(f, &group(), &delivery(other, 1)).await, Fresh);
}

pub async fn a_record_that_is_not_a_message_is_identified_by_its_position<F: Fixture>(f: &F) {
    let raw = |offset| {
        let mut raw = delivery(message("a", 0), offset);
        raw.content = Content::Raw(Raw {
            key: None,
            headers: Headers::new(),
            payload: None,
            reason: "no envelope".to_owned(),
        });
        raw
    };
    assert_eq!(admit(f, &group(), &raw(0)).await, Fresh);
    assert_eq!(admit(f, &group(), &raw(1)).await, Fresh);
    assert_eq!(admit(f, &group(), &raw(0)).await, Duplicate);
}

pub async fn admission_waits_for_an_open_one_of_the_same_message<F: Fixture>(f: &F) {
    for (number, commits) in [true, false].into_iter().enumerate() {
        let delivery = delivery(message("a", number), 0);
        let mut tx = begin(f).await;
        assert!(
            f.inbox()
                .admit(&mut tx, &group(), &delivery)
                .await
                .unwrap()
                .is_fresh()
        );
        let other_group = group();
        let mut other = std::pin::pin!(admit(f, &other_group, &delivery));
        for _ in 0..20 {
            tokio::select! {
                biased;
                answer = &mut other => panic!("answered {answer:?} while the first was open"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        if commits {
            commit(f, tx).await;
            assert_eq!(other.await, Duplicate);
        } else {
            drop(tx);
            assert_eq!(other.await, Fresh);
        }
    }
}
