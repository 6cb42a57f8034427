//! Reading from a real cluster.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt as _;
use mainstay_messaging::{
    Consumer, Group, Message, StartAt, Topic,
    broker::{ConsumerEvent, Partition},
    conformance::ConsumerFixture as _,
    kafka::{
        Builder, GroupProtocol,
        rdkafka::{
            admin::{AdminOptions, NewPartitions},
            message::OwnedHeaders,
        },
    },
};

use super::{
    fixture::{KafkaFixture, PATIENCE, assigned, event, message, read},
    real,
};

/// Rounds that are several times what is read ahead, in each partition.
const COUNT: usize = 300;

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn round(number: usize) -> Vec<Message> {
    KEYS.map(|key| message(key, number)).into()
}

/// Two members find a group without offsets. Only one of them may say where it begins: the other's
/// partitions would begin at the earliest, because the group has offsets then.
#[tokio::test]
async fn members_that_found_a_group_together_read_only_what_comes_after() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(4).await;
    f.append(&round(0)).await;
    let (group, topics) = (Group::from_static("g"), [topic]);
    let mut members = [
        f.consumer(&group, &topics, StartAt::Latest).await,
        f.consumer(&group, &topics, StartAt::Latest).await,
    ];
    let (mut held, mut deliveries, mut appended) = (BTreeMap::new(), Vec::new(), false);
    let [first, second] = &mut members;
    let reading = async {
        while deliveries.len() < KEYS.len() {
            let (name, member, event) = tokio::select! {
                event = first.next() => (1, &mut *first, event),
                event = second.next() => (2, &mut *second, event),
            };
            match event.unwrap() {
                ConsumerEvent::Assigned(assigned) => {
                    held.extend(assigned.into_iter().map(|a| (a.partition, name)));
                }
                ConsumerEvent::Revoked { partitions, .. } => {
                    held.retain(|partition, _| !partitions.contains(partition));
                    member.release(&partitions).await.unwrap();
                }
                ConsumerEvent::Deliveries(more) => deliveries.extend(more),
                ConsumerEvent::Lost(lost) => held.retain(|partition, _| !lost.contains(partition)),
                ConsumerEvent::Recovered => {}
            }
            let both =
                held.len() == 4 && held.values().any(|n| *n == 1) && held.values().any(|n| *n == 2);
            if both && !appended {
                appended = true;
                f.append(&round(1)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    for delivery in deliveries {
        let payload = delivery.content.message().unwrap().payload.as_deref();
        assert_eq!(payload, Some(&b"1"[..]), "a record from before");
    }
}

#[tokio::test]
async fn a_partition_that_is_added_is_read_from_its_beginning() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(1).await;
    let (group, topics) = (Group::from_static("g"), [topic.clone()]);
    let mut consumer = f.consumer(&group, &topics, StartAt::Latest).await;
    assigned(&mut consumer).await;
    drop(consumer);
    let full = f.full(&topic);
    let more = NewPartitions::new(&full, 2);
    let added = f
        .admin()
        .create_partitions([&more], &AdminOptions::new())
        .await;
    added.unwrap().remove(0).unwrap();
    f.until_applied().await;
    f.append_raw(&topic, 1, None, Some(b"first"), OwnedHeaders::new());
    let mut consumer = f.consumer(&group, &topics, StartAt::Latest).await;
    let deliveries = read(&mut consumer, 1).await;
    assert_eq!(
        (
            deliveries[0].position.partition.number,
            deliveries[0].position.offset
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn a_paused_backlog_does_not_keep_others_from_being_read() {
    let f = real::fixture_with(|builder| builder.read_ahead_bytes(1)).await;
    let Some(f) = f else { return };
    let topic = f.topic(2).await;
    let messages: Vec<Message> = (0..COUNT)
        .flat_map(round)
        .map(|mut message| {
            message.headers.append("ballast", vec![b'.'; 5_000]);
            message
        })
        .collect();
    f.append(&messages).await;
    let mut consumer = f.join(&topic).await;
    let partitions: Vec<Partition> = assigned(&mut consumer)
        .await
        .into_iter()
        .map(|assignment| assignment.partition)
        .collect();
    let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (paused, reading) in [(0, 1), (1, 0)] {
        consumer.pause(&partitions[paused..=paused]);
        consumer.resume(&partitions[reading..=reading]);
        let end = f.broker.progress(&Group::from_static("g")).await.unwrap();
        let end = end
            .iter()
            .find(|(p, ..)| *p == partitions[reading])
            .unwrap()
            .2;
        let mut next = 0;
        while next < end {
            for delivery in read(&mut consumer, 1).await {
                assert_eq!(
                    delivery.position.partition, partitions[reading],
                    "it is paused"
                );
                next = delivery.position.offset + 1;
                let message = delivery.content.message().unwrap();
                let number = str::from_utf8(message.payload.as_ref().unwrap()).unwrap();
                let key = message.key.as_ref().unwrap().to_string();
                by_key.entry(key).or_default().push(number.parse().unwrap());
            }
        }
    }
    assert_eq!(by_key.len(), KEYS.len());
    for (key, numbers) in by_key {
        assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>(), "{key}");
    }
}

async fn static_member(
    f: &KafkaFixture,
    id: &str,
    topic: &Topic,
) -> mainstay_messaging::kafka::LogConsumer {
    let broker = super::fixture::builder(&f.servers, &f.namespace)
        .session_timeout(Duration::from_secs(30))
        .instance_id(id)
        .open()
        .await
        .unwrap();
    broker.consumer("g").subscribe([topic]).await.unwrap()
}

#[tokio::test]
async fn a_static_member_that_restarts_disturbs_nobody() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(2).await;
    let mut first = static_member(&f, "one", &topic).await;
    assert_eq!(assigned(&mut first).await.len(), 2);
    let mut second = static_member(&f, "two", &topic).await;
    let moving = async {
        tokio::select! {
            held = assigned(&mut second) => held,
            () = async {
                loop {
                    let revoked = event(&mut first, |event| match event {
                        ConsumerEvent::Revoked { partitions, .. } => Some(partitions),
                        _ => None,
                    }).await;
                    first.release(&revoked).await.unwrap();
                }
            } => unreachable!(),
        }
    };
    let held = tokio::time::timeout(PATIENCE, moving).await.unwrap();
    assert_eq!(held.len(), 1);
    drop(second);
    let mut second = static_member(&f, "two", &topic).await;
    let again = tokio::select! {
        again = assigned(&mut second) => again,
        event = first.next() => panic!("{event:?}"),
    };
    assert_eq!(again[0].partition, held[0].partition);
}

#[tokio::test]
async fn the_progress_of_a_group_is_seen_from_outside() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let group = Group::from_static("g");
    let topic = f.topic(1).await;
    assert_eq!(f.broker.progress(&group).await.unwrap(), []);
    f.append(&[message("a", 0), message("a", 1)]).await;
    let mut consumer = f.join(&topic).await;
    let deliveries = read(&mut consumer, 2).await;
    consumer
        .commit(&[deliveries[0].position.next()])
        .await
        .unwrap();
    let partition = deliveries[0].position.partition.clone();
    let progress = [(partition, 1, 2)];
    assert_eq!(f.broker.progress(&group).await.unwrap(), progress);
    drop(consumer);
    assert_eq!(f.broker.progress(&group).await.unwrap(), progress);
}

/// librdkafka waits for an answer then, and would stay a member without reading.
#[tokio::test]
async fn a_member_that_is_dropped_before_it_reads_leaves_the_group() {
    let Some(f) =
        real::fixture_with(|builder| builder.session_timeout(Duration::from_secs(60))).await
    else {
        return;
    };
    let topic = f.topic(2).await;
    for _ in 0..5 {
        let mut early = f.join(&topic).await;
        // Dropped at different points of its way into the group.
        for _ in 0..20 {
            let waiting = tokio::time::timeout(Duration::from_millis(5), early.next());
            if matches!(waiting.await, Ok(Ok(ConsumerEvent::Assigned(_)))) {
                break;
            }
        }
    }
    let mut heir = f.join(&topic).await;
    let mut held = 0;
    while held < 2 {
        held += assigned(&mut heir).await.len();
    }
}

/// What a member was offered and did not look at ends with its membership, and is not taken for what
/// the next one is given. The others of its group would wait for it, too.
#[tokio::test]
async fn a_member_that_leaves_declines_what_it_was_offered() {
    for protocol in [GroupProtocol::Eager, GroupProtocol::Cooperative] {
        let settings = |builder: Builder| {
            // It is not polled for a while.
            builder
                .group_protocol(protocol)
                .revocation_timeout(Duration::from_secs(30))
        };
        let Some(f) = real::fixture_with(settings).await else {
            return;
        };
        let topic = f.topic(1).await;
        let mut member = f.join(&topic).await;
        // It joins, and is not polled on.
        assert!(member.next().now_or_never().is_none());
        f.until_stable("g");
        member.release(&[]).await.unwrap();
        let given = event(&mut member, Some).await;
        assert!(
            matches!(given, ConsumerEvent::Assigned(_)),
            "{protocol:?}: {given:?}"
        );
        f.append(&[message("a", 0)]).await;
        let next = event(&mut member, Some).await;
        assert!(
            matches!(next, ConsumerEvent::Deliveries(_)),
            "{protocol:?}: {next:?}"
        );
    }
}
