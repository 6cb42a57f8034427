//! What publishing guarantees on a real cluster, whatever it refuses.

use std::time::Duration;

use mainstay_messaging::{
    Delivery, Error, Message, Publisher, Topic, broker::PublishOutcome,
    conformance::PublisherFixture as _,
};

use super::{
    fixture::{KafkaFixture, message},
    real,
};

fn ids(records: &[Delivery]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.content.message().unwrap().id.as_str())
        .collect()
}

fn heavy(mut message: Message, bytes: usize) -> Message {
    message.payload = Some(vec![b'.'; bytes].into());
    message
}

async fn publish_one(publisher: &impl Publisher, message: Message) -> PublishOutcome {
    publisher.publish(&[message]).await.remove(0)
}

/// librdkafka#2819: batches that are in flight behind a refused one must not be stored.
#[tokio::test]
async fn nothing_is_stored_behind_a_batch_that_the_cluster_refuses() {
    // Every message is a batch of its own, and five of them are in flight.
    let f = real::fixture_with(|builder| builder.setting("batch.num.messages", "1")).await;
    let Some(f) = f else { return };
    let topic = f.topic(1).await;
    let publisher = f.publisher();
    assert!(
        publish_one(&publisher, message("a", 0))
            .await
            .is_acknowledged()
    );
    // The publisher does not hear of it.
    f.set(&topic, "max.message.bytes", "2000").await;
    let mut messages = vec![heavy(message("a", 1), 5_000)];
    messages.extend((2..200).map(|number| message("a", number)));
    let outcomes = publisher.publish(&messages).await;
    for outcome in &outcomes {
        assert!(matches!(outcome, PublishOutcome::Unknown(_)), "{outcome:?}");
    }
    assert_eq!(ids(&f.records(&topic).await), ["a-0"]);
    // It has learnt the limit.
    let outcomes = publisher.publish(&messages[..2]).await;
    let [
        PublishOutcome::Refused(Error::TooLarge { limit: 2_000, .. }),
        PublishOutcome::Unknown(Error::NotTried),
    ] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}");
    };
    assert!(
        publish_one(&publisher, message("b", 0))
            .await
            .is_acknowledged()
    );
}

/// Where the cluster does not know a producer yet, it takes any batch.
#[tokio::test]
async fn nothing_is_stored_behind_a_refused_batch_that_is_the_first_of_its_producer() {
    let f = real::fixture_with(|builder| {
        builder
            .setting("batch.num.messages", "1")
            .max_message_size(1_000_000)
    })
    .await;
    let Some(f) = f else { return };
    let topic = f.topic(1).await;
    f.set(&topic, "max.message.bytes", "2000").await;
    let mut messages = vec![heavy(message("a", 0), 5_000)];
    messages.extend((1..200).map(|number| message("a", number)));
    for outcome in f.publisher().publish(&messages).await {
        assert!(matches!(outcome, PublishOutcome::Unknown(_)), "{outcome:?}");
    }
    assert_eq!(f.records(&topic).await.len(), 0);
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_topic_allows_and_no_larger() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(1).await;
    f.set(&topic, "max.message.bytes", "5000").await;
    let publisher = f.publisher();
    let too_large = publish_one(&publisher, heavy(message("a", 0), 5_000)).await;
    let PublishOutcome::Refused(Error::TooLarge { size, limit: 5_000 }) = too_large else {
        panic!("{too_large:?}");
    };
    let fits = 5_000 - (size - 5_000);
    let outcome = publish_one(&publisher, heavy(message("a", 0), fits)).await;
    assert!(outcome.is_acknowledged(), "{outcome:?}");
    let outcome = publish_one(&publisher, heavy(message("a", 1), fits + 1)).await;
    let PublishOutcome::Refused(Error::TooLarge { size: 5_001, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    // Many small ones are sent in batches that fit.
    let small: Vec<Message> = (1..200).map(|number| message("a", number)).collect();
    for outcome in publisher.publish(&small).await {
        assert!(outcome.is_acknowledged(), "{outcome:?}");
    }
    assert_eq!(f.records(&topic).await.len(), 200);
}

#[tokio::test]
async fn a_call_that_is_dropped_has_stored_a_prefix() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(1).await;
    let publisher = f.publisher();
    assert!(
        publish_one(&publisher, message("a", 0))
            .await
            .is_acknowledged()
    );
    let messages: Vec<Message> = (1..20_000).map(|number| message("a", number)).collect();
    let dropped = tokio::time::timeout(Duration::from_millis(5), publisher.publish(&messages));
    let finished = dropped.await.is_ok();
    // It works on, behind what is in the log.
    let last = [message("b", 0)];
    assert!(publisher.publish(&last).await.remove(0).is_acknowledged());
    let records = f.records(&topic).await;
    let of_a: Vec<&str> = ids(&records)
        .into_iter()
        .filter(|id| id.starts_with('a'))
        .collect();
    let expected: Vec<String> = (0..of_a.len())
        .map(|number| format!("a-{number}"))
        .collect();
    assert_eq!(of_a, expected, "not a prefix");
    assert!(finished || of_a.len() < 20_000, "nothing was withdrawn");
}

#[tokio::test]
async fn keys_are_where_other_clients_of_kafka_expect_them() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(100).await;
    // murmur2 by Kafka's own test, sign bit cleared, modulo 100.
    for (key, hash) in [
        ("21", -973_932_308_i32),
        ("foobar", -790_332_482),
        ("abc", 479_470_107),
    ] {
        let outcome = publish_one(&f.publisher(), message(key, 0)).await;
        assert!(outcome.is_acknowledged(), "{outcome:?}");
        let expected = (hash & 0x7fff_ffff) % 100;
        let records = f.records(&topic).await;
        let found = records.iter().any(|record| {
            record.position.partition.number == expected
                && record
                    .content
                    .message()
                    .unwrap()
                    .key
                    .as_ref()
                    .unwrap()
                    .as_str()
                    == key
        });
        assert!(found, "{key} is not in {expected}");
    }
}

#[tokio::test]
async fn a_topic_that_is_created_later_is_found() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let publisher = f.publisher();
    let outcome = publish_one(&publisher, message("a", 0)).await;
    let PublishOutcome::Refused(Error::UnknownTopic(topic)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(topic, Topic::from_static("orders"));
    f.topic(2).await;
    assert!(
        publish_one(&publisher, message("a", 0))
            .await
            .is_acknowledged()
    );
}

/// Their calls wait for each other.
#[tokio::test]
async fn clones_of_a_publisher_publish_side_by_side() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(4).await;
    let publisher = f.publisher();
    let keys = ["a", "b", "c", "d"];
    let tasks = keys.map(|key| {
        let publisher = publisher.clone();
        tokio::spawn(async move {
            for call in 0..20 {
                let messages: Vec<_> = (call * 5..call * 5 + 5)
                    .map(|number| message(key, number))
                    .collect();
                for outcome in publisher.publish(&messages).await {
                    assert!(outcome.is_acknowledged(), "{outcome:?}");
                }
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    check_order(&f, &topic, &keys, 100).await;
}

async fn check_order(f: &KafkaFixture, topic: &Topic, keys: &[&str], count: usize) {
    let records = f.records(topic).await;
    for key in keys {
        let of_key: Vec<&str> = (ids(&records).into_iter())
            .filter(|id| id.starts_with(key))
            .collect();
        let expected: Vec<String> = (0..count).map(|number| format!("{key}-{number}")).collect();
        assert_eq!(of_key, expected);
    }
}
