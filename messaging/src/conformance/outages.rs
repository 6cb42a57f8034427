//! What both roles guarantee while the broker fails.

use super::{
    OutageFixture, PATIENCE, assigned, behind, group, keyed, message, publish, read, topic,
};
use crate::{
    Error, StartAt,
    broker::{Consumer, ConsumerEvent, Position, PublishOutcome, Publisher},
};

pub async fn publishing_during_an_outage_is_unknown_and_is_repeated_in_order<F: OutageFixture>(
    f: &F,
) {
    f.create_topic(&topic(), 2).await;
    let publisher = f.publisher();
    let messages = [message("a", 0), message("b", 0), message("a", 1)];
    f.fail().await;
    for outcome in publisher.publish(&messages).await {
        let PublishOutcome::Unknown(error) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(error.is_retryable(), "{error}");
    }
    f.heal().await;
    publish(&publisher, &messages).await;
    let stored = keyed(&f.records(&topic()).await);
    for (key, expected) in [("a", &[0, 1][..]), ("b", &[0])] {
        // The outage may have stored some of them: consumers recognise duplicates by id.
        assert!(stored[key].ends_with(expected), "{key}: {:?}", stored[key]);
        let before = &stored[key][..stored[key].len() - expected.len()];
        assert!(expected.starts_with(before), "{key}: {:?}", stored[key]);
    }
}

/// Polls until an error comes, and checks that it is retryable.
async fn failure(consumer: &mut impl Consumer) {
    let failing = async {
        loop {
            match consumer.next().await {
                Ok(ConsumerEvent::Deliveries(deliveries)) => panic!("{deliveries:?}"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, failing).await.unwrap();
    assert!(error.is_retryable(), "{error}");
}

pub async fn reading_during_an_outage_fails_and_continues_where_it_was<F: OutageFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0)]).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut consumer, 1).await;
    consumer.commit(&behind(&deliveries)).await.unwrap();
    f.fail().await;
    failure(&mut consumer).await;
    f.heal().await;
    f.append(&[message("a", 1)]).await;
    assert_eq!(keyed(&read(&mut consumer, 1).await)["a"], [1]);
}

pub async fn a_success_after_an_outage_is_an_event<F: OutageFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assigned(&mut consumer).await;
    f.fail().await;
    failure(&mut consumer).await;
    f.heal().await;
    let success = async { while consumer.next().await.is_err() {} };
    tokio::time::timeout(PATIENCE, success).await.unwrap();
}

pub async fn a_commit_during_an_outage_can_be_repeated<F: OutageFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0), message("a", 1)]).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut consumer, 2).await;
    f.fail().await;
    let error = consumer.commit(&behind(&deliveries)).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    f.heal().await;
    let repeating = async {
        loop {
            match consumer.commit(&behind(&deliveries)).await {
                Ok(()) => break,
                // On a busy machine the lease may have ended.
                Err(Error::NotAssigned(_)) => rejoined(&mut consumer, &behind(&deliveries)).await,
                // The earlier one may still wait for its answer.
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, repeating).await.unwrap();
    drop(consumer);
    f.append(&[message("a", 2)]).await;
    let mut successor = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(keyed(&read(&mut successor, 1).await)["a"], [2]);
}

/// Polls until the partition is assigned again behind `ends`, where an unanswered commit moved the
/// group, or until everything before `ends` was read again.
async fn rejoined(consumer: &mut impl Consumer, ends: &[Position]) {
    loop {
        let reached = match consumer.next().await {
            Ok(ConsumerEvent::Assigned(assigned)) => assigned[0].start,
            Ok(ConsumerEvent::Deliveries(read)) => behind(&read)[0].offset,
            Ok(_) => continue,
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                continue;
            }
        };
        if reached >= ends[0].offset {
            return;
        }
    }
}

pub async fn a_release_during_an_outage_can_be_repeated<F: OutageFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let held = assigned(&mut first).await;
    f.fail().await;
    let error = first.release(&held).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    f.heal().await;
    first.release(&held).await.unwrap();
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(assigned(&mut second).await, held);
}
