//! What reading guarantees.

use std::{collections::BTreeMap, time::Duration};

use super::{
    ConsumerFixture, FOREIGN, KEYS, PATIENCE, assigned, behind, group, keyed, message, next,
    other_topic, read, topic,
};
use crate::{
    Error, StartAt, Topic,
    broker::{Consumer, ConsumerEvent, Content, Partition},
};

pub async fn a_group_reads_everything_from_the_earliest<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 4).await;
    f.append(&[message("a", 0), message("b", 0), message("c", 0)])
        .await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(read(&mut consumer, 3).await.len(), 3);
}

pub async fn a_group_that_starts_at_the_latest_reads_only_what_comes_after<F: ConsumerFixture>(
    f: &F,
) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0)]).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Latest).await;
    assigned(&mut consumer).await;
    f.append(&[message("a", 1)]).await;
    assert_eq!(keyed(&read(&mut consumer, 1).await)["a"], [1]);
}

/// Whatever such a topic holds came after the group had joined.
pub async fn a_topic_that_is_created_after_a_group_joined_is_read_from_its_beginning<
    F: ConsumerFixture,
>(
    f: &F,
) {
    f.create_topic(&other_topic(), 1).await;
    let both = [topic(), other_topic()];
    let mut consumer = f.consumer(&group("g"), &both, StartAt::Latest).await;
    assigned(&mut consumer).await;
    f.create_topic(&topic(), 4).await;
    let round = |number| KEYS.map(|key| message(key, number));
    f.append(&round(0)).await;
    // Another member may be the first that sees the topic.
    let mut second = f.consumer(&group("g"), &both, StartAt::Latest).await;
    let mut deliveries = Vec::new();
    let reading = async {
        while deliveries.len() < KEYS.len() {
            let (member, event) = tokio::select! {
                event = second.next() => (&mut second, event),
                event = consumer.next() => (&mut consumer, event),
            };
            match event.unwrap() {
                ConsumerEvent::Deliveries(more) => {
                    member.commit(&behind(&more)).await.unwrap();
                    deliveries.extend(more);
                }
                ConsumerEvent::Revoked { partitions, .. } => {
                    member.release(&partitions).await.unwrap();
                }
                _ => {}
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.unwrap_or_else(|_| panic!("the first records of the topic did not come"));
    let deliveries = keyed(&deliveries);
    assert!(
        deliveries.values().all(|numbers| *numbers == [0]),
        "{deliveries:?}"
    );
}

pub async fn two_groups_both_get_everything<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    f.append(&[message("a", 0), message("b", 0)]).await;
    for name in ["one", "two"] {
        let mut consumer = f
            .consumer(&group(name), &[topic()], StartAt::Earliest)
            .await;
        assert_eq!(read(&mut consumer, 2).await.len(), 2);
    }
}

pub async fn a_paused_partition_delivers_nothing_until_resumed<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let partitions = assigned(&mut consumer).await;
    consumer.pause(&partitions);
    f.append(&[message("a", 0)]).await;
    let paused = tokio::time::timeout(Duration::from_millis(200), read(&mut consumer, 1)).await;
    assert!(paused.is_err(), "a paused partition delivered {paused:?}");
    consumer.resume(&partitions);
    assert_eq!(read(&mut consumer, 1).await.len(), 1);
}

pub async fn a_dropped_wait_loses_nothing<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let mut seen = Vec::new();
    let take = |seen: &mut Vec<_>, event| match event {
        // A member that a busy machine made too late begins again: nothing is committed.
        ConsumerEvent::Assigned(_) => seen.clear(),
        ConsumerEvent::Deliveries(deliveries) => seen.extend(deliveries),
        _ => {}
    };
    for number in 0..50 {
        f.append(&[message("a", number)]).await;
        // Dropped at whichever await it has reached by then.
        if let Ok(Ok(event)) =
            tokio::time::timeout(Duration::from_micros(50 * number as u64), consumer.next()).await
        {
            take(&mut seen, event);
        }
    }
    while seen.len() < 50 {
        take(&mut seen, next(&mut consumer).await);
    }
    assert_eq!(keyed(&seen)["a"], (0..50).collect::<Vec<_>>());
}

pub async fn an_assignment_comes_before_its_first_delivery<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 4).await;
    let messages: Vec<_> = KEYS.map(|key| message(key, 0)).into();
    f.append(&messages).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let mut starts = BTreeMap::new();
    let reading = async {
        let mut missing = KEYS.len();
        while missing > 0 {
            match next(&mut consumer).await {
                ConsumerEvent::Assigned(assigned) => {
                    starts.extend(assigned.into_iter().map(|a| (a.partition, a.start)));
                }
                ConsumerEvent::Deliveries(deliveries) => {
                    assert!(!deliveries.is_empty(), "empty deliveries");
                    for delivery in deliveries {
                        let next =
                            starts
                                .get_mut(&delivery.position.partition)
                                .unwrap_or_else(|| {
                                    panic!("{} before its assignment", delivery.position)
                                });
                        assert_eq!(delivery.position.offset, *next);
                        *next += 1;
                        missing -= 1;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
}

pub async fn one_member_reads_several_topics<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    f.create_topic(&other_topic(), 3).await;
    let mut elsewhere = message("a", 1);
    elsewhere.topic = other_topic();
    f.append(&[message("a", 0), elsewhere]).await;
    let mut consumer = f
        .consumer(&group("g"), &[topic(), other_topic()], StartAt::Earliest)
        .await;
    let mut topics: Vec<Topic> = read(&mut consumer, 2)
        .await
        .into_iter()
        .map(|delivery| delivery.position.partition.topic)
        .collect();
    topics.sort();
    assert_eq!(topics, [topic(), other_topic()]);
}

pub async fn a_record_of_another_kind_is_delivered_raw_in_its_place<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0)]).await;
    let partition = Partition {
        topic: topic(),
        number: 0,
    };
    f.append_foreign(&partition).await;
    f.append(&[message("a", 1)]).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut consumer, 3).await;
    let offsets: Vec<i64> = deliveries.iter().map(|d| d.position.offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
    let [Content::Message(_), Content::Raw(raw), Content::Message(_)] =
        [0, 1, 2].map(|i| &deliveries[i].content)
    else {
        panic!("{deliveries:?}");
    };
    assert!(!raw.reason.is_empty());
    assert_eq!(raw.payload.as_deref(), Some(FOREIGN));
}

pub async fn a_group_whose_offset_is_below_the_log_stops_with_an_error<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let messages: Vec<_> = (0..5).map(|number| message("a", number)).collect();
    f.append(&messages).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let partitions = assigned(&mut consumer).await;
    consumer.release(&partitions).await.unwrap();
    f.lose_records(&partitions[0], 3).await;
    let mut successor = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let stopped = tokio::time::timeout(PATIENCE, successor.next()).await;
    let Ok(Err(error)) = stopped else {
        panic!("{stopped:?}");
    };
    let Error::OffsetOutOfRange {
        committed,
        first: 3,
        next: 5,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(committed.offset, 0);
    assert!(!error.is_retryable());
    // A group that is new starts where the log begins by now.
    let mut fresh = f
        .consumer(&group("fresh"), &[topic()], StartAt::Earliest)
        .await;
    assert_eq!(keyed(&read(&mut fresh, 2).await)["a"], [3, 4]);
}

pub async fn a_member_whose_next_records_are_removed_stops_with_an_error<F: ConsumerFixture>(
    f: &F,
) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0), message("a", 1)]).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let partitions = assigned(&mut consumer).await;
    consumer.pause(&partitions);
    f.lose_records(&partitions[0], 1).await;
    consumer.resume(&partitions);
    let reading = async {
        loop {
            match consumer.next().await {
                // Records that were on their way may still come.
                Ok(ConsumerEvent::Deliveries(deliveries)) => {
                    assert_eq!(deliveries[0].position.offset, 0, "a silent gap");
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    assert!(matches!(error, Error::OffsetOutOfRange { .. }), "{error:?}");
                    return;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
}

pub async fn a_fetch_is_bounded_in_bytes_and_every_partition_has_its_turn<F: ConsumerFixture>(
    f: &F,
) {
    f.create_topic(&topic(), 4).await;
    // Far more than one fetch for each key.
    let messages: Vec<_> = (0..40)
        .flat_map(|number| KEYS.map(|key| message(key, number)))
        .map(|mut message| {
            message.headers.append("ballast", vec![b'.'; 5_000]);
            message
        })
        .collect();
    f.append(&messages).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let partitions = assigned(&mut consumer).await.len();
    let mut read_of: BTreeMap<Partition, usize> = BTreeMap::new();
    let reading = async {
        while read_of.values().sum::<usize>() < messages.len() {
            if let ConsumerEvent::Deliveries(deliveries) = next(&mut consumer).await {
                assert!(deliveries.len() * 5_000 <= 60_000, "{}", deliveries.len());
                for delivery in deliveries {
                    *read_of.entry(delivery.position.partition).or_default() += 1;
                }
                let behind = messages.len() / 8 > read_of.values().sum();
                assert!(
                    behind || read_of.len() > 1 || partitions == 1,
                    "one partition has every turn"
                );
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
}
