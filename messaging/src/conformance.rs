//! The contract of [`Publisher`] and [`Consumer`] as tests that any broker can run.
//!
//! Implement [`Fixture`] and write `mainstay_messaging::conformance!(fixture());` in a test module: one named test
//! per case. The cases wait on conditions, so they run on real and on paused time alike.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]
#![expect(missing_docs, reason = "the cases are named after what they show")]

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use crate::{
    Consumer, Content, Delivery, Error, Flow, Group, Incoming, Key, Kind, Message, MessageId,
    Partition, Position, Publication, Publisher, Source, StartAt, Topic,
};

/// What a broker brings to the suite.
#[async_trait]
pub trait Fixture: Send + Sync {
    type Publisher: Publisher;
    type Consumer: Consumer;

    /// Creates a topic.
    async fn create_topic(&self, topic: &Topic, partitions: u16);

    fn publisher(&self) -> Self::Publisher;

    /// A new member. Its lease should be well below a second.
    fn consumer(&self, group: &Group, topic: &Topic, start_at: StartAt) -> Self::Consumer;

    /// A payload of this many bytes is more than the broker takes.
    fn too_large(&self) -> usize;
}

/// Emits one `#[tokio::test]` per case for the fixture that the expression makes; with `paused` before the
/// expression, on tokio's paused time, for a broker whose clock follows it.
#[macro_export]
macro_rules! conformance {
    (paused $fixture:expr) => {
        $crate::conformance!(@list (start_paused = true) $fixture);
    };
    ($fixture:expr) => {
        $crate::conformance!(@list () $fixture);
    };
    (@list $arguments:tt $fixture:expr) => {
        $crate::conformance!(@cases $arguments $fixture;
            a_group_reads_everything_from_the_earliest
            a_group_that_starts_at_the_latest_reads_only_what_comes_after
            messages_of_one_key_keep_their_order
            a_refused_message_stops_its_key_and_no_other
            an_unknown_topic_is_refused
            what_was_committed_is_not_delivered_again
            what_was_not_committed_is_delivered_to_the_next_holder
            offsets_never_move_back
            two_groups_both_get_everything
            a_paused_partition_delivers_nothing_until_resumed
            partitions_are_divided_and_revoked_before_they_go
            a_revoked_partition_may_be_committed_until_it_is_released
            a_former_holder_cannot_commit
            a_dropped_wait_loses_nothing
            tombstones_and_keyless_messages_travel
        );
    };
    (@cases $arguments:tt $fixture:expr; $($case:ident)*) => {
        $($crate::conformance!(@case $arguments $fixture; $case);)*
    };
    (@case ($($arguments:tt)*) $fixture:expr; $case:ident) => {
        #[tokio::test($($arguments)*)] async fn $case() { $crate::conformance::$case(&$fixture.await).await; }
    };
}

const PATIENCE: Duration = Duration::from_secs(30);

fn topic() -> Topic {
    Topic::from_static("orders")
}

fn group(name: &'static str) -> Group {
    Group::from_static(name)
}

/// A message whose payload is its number.
fn message(key: &'static str, number: usize) -> Message {
    let id = MessageId::new(format!("{key}-{number}")).unwrap();
    let mut message = Message::with_id(
        id,
        Source::from_static("/suite"),
        topic(),
        Kind::from_static("Counted"),
    );
    message.payload = Some(number.to_string().into());
    message.with_key(Key::from_static(key))
}

fn keyed(deliveries: &[Delivery]) -> BTreeMap<String, Vec<usize>> {
    let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for delivery in deliveries {
        let Content::Message(message) = &delivery.content else {
            panic!("raw record: {delivery:?}");
        };
        let number = str::from_utf8(message.payload.as_ref().unwrap()).unwrap();
        let key = message
            .key
            .as_ref()
            .map_or_else(String::new, ToString::to_string);
        by_key.entry(key).or_default().push(number.parse().unwrap());
    }
    by_key
}

async fn publish(publisher: &impl Publisher, messages: &[Message]) {
    for answer in publisher.publish(messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
}

/// Polls until `count` records have come; other events pass by.
async fn read(consumer: &mut impl Consumer, count: usize) -> Vec<Delivery> {
    let mut read = Vec::new();
    let reading = async {
        while read.len() < count {
            if let Incoming::Deliveries(deliveries) = consumer.next().await.unwrap() {
                read.extend(deliveries);
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap_or_else(|_| panic!("{count} records did not come"));
    read
}

async fn assigned(consumer: &mut impl Consumer) -> Vec<Partition> {
    let waiting = async {
        loop {
            if let Incoming::Assigned(assigned) = consumer.next().await.unwrap() {
                return assigned.into_iter().map(|a| a.partition).collect();
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

fn behind(deliveries: &[Delivery]) -> Vec<Position> {
    let mut last: BTreeMap<Partition, i64> = BTreeMap::new();
    for delivery in deliveries {
        let offset = last.entry(delivery.position.partition.clone()).or_default();
        *offset = (*offset).max(delivery.position.offset + 1);
    }
    last.into_iter()
        .map(|(partition, offset)| Position { partition, offset })
        .collect()
}

pub async fn a_group_reads_everything_from_the_earliest<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 4).await;
    publish(
        &f.publisher(),
        &[message("a", 0), message("b", 0), message("c", 0)],
    )
    .await;
    let mut consumer = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    assert_eq!(read(&mut consumer, 3).await.len(), 3);
}

pub async fn a_group_that_starts_at_the_latest_reads_only_what_comes_after<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let publisher = f.publisher();
    publish(&publisher, &[message("a", 0)]).await;
    let mut consumer = f.consumer(&group("g"), &topic(), StartAt::Latest);
    assigned(&mut consumer).await;
    publish(&publisher, &[message("a", 1)]).await;
    assert_eq!(keyed(&read(&mut consumer, 1).await)["a"], [1]);
}

pub async fn messages_of_one_key_keep_their_order<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 3).await;
    let (publisher, keys) = (f.publisher(), ["a", "b", "c", "d", "e"]);
    for batch in 0..10 {
        let messages: Vec<_> = (batch * 10..batch * 10 + 10)
            .flat_map(|number| keys.map(|key| message(key, number)))
            .collect();
        publish(&publisher, &messages).await;
    }
    let mut consumer = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let deliveries = read(&mut consumer, 500).await;
    for key in keys {
        assert_eq!(
            keyed(&deliveries)[key],
            (0..100).collect::<Vec<_>>(),
            "{key}"
        );
    }
    let mut next: BTreeMap<Partition, i64> = BTreeMap::new();
    for delivery in deliveries {
        let expected = next.entry(delivery.position.partition).or_default();
        assert_eq!(delivery.position.offset, *expected, "a gap in the offsets");
        *expected += 1;
    }
}

pub async fn a_refused_message_stops_its_key_and_no_other<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let mut oversize = message("a", 1);
    oversize.payload = Some(vec![0; f.too_large()].into());
    let answers = f
        .publisher()
        .publish(&[
            message("a", 0),
            oversize,
            message("b", 0),
            message("a", 2),
            message("b", 1),
        ])
        .await;
    let [
        Publication::Acknowledged,
        Publication::Refused(Error::TooLarge { .. }),
        Publication::Acknowledged,
        Publication::Unknown(_),
        Publication::Acknowledged,
    ] = answers.as_slice()
    else {
        panic!("{answers:?}");
    };
    let mut consumer = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let stored = keyed(&read(&mut consumer, 3).await);
    assert_eq!(
        (&stored["a"][..], &stored["b"][..]),
        (&[0][..], &[0, 1][..])
    );
}

pub async fn an_unknown_topic_is_refused<F: Fixture>(f: &F) {
    f.create_topic(&Topic::from_static("another"), 1).await;
    let answers = f.publisher().publish(&[message("a", 0)]).await;
    let [Publication::Refused(Error::UnknownTopic(unknown))] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!(*unknown, topic());
}

pub async fn what_was_committed_is_not_delivered_again<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let publisher = f.publisher();
    publish(&publisher, &[message("a", 0), message("a", 1)]).await;
    let mut first = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let deliveries = read(&mut first, 2).await;
    first.commit(&behind(&deliveries)).await.unwrap();
    first
        .release(&[deliveries[0].position.partition.clone()])
        .await
        .unwrap();
    publish(&publisher, &[message("a", 2)]).await;
    let mut second = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    assert_eq!(keyed(&read(&mut second, 1).await)["a"], [2]);
}

pub async fn what_was_not_committed_is_delivered_to_the_next_holder<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    publish(&f.publisher(), &[message("a", 0), message("a", 1)]).await;
    let mut killed = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let deliveries = read(&mut killed, 2).await;
    killed.commit(&behind(&deliveries[..1])).await.unwrap();
    drop(killed); // without a release: as a killed process does
    let mut successor = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    assert_eq!(keyed(&read(&mut successor, 1).await)["a"], [1]);
}

pub async fn offsets_never_move_back<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    publish(
        &f.publisher(),
        &[message("a", 0), message("a", 1), message("a", 2)],
    )
    .await;
    let mut consumer = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let deliveries = read(&mut consumer, 3).await;
    consumer.commit(&behind(&deliveries[..2])).await.unwrap();
    consumer.commit(&behind(&deliveries[..1])).await.unwrap();
    drop(consumer);
    let mut successor = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    assert_eq!(keyed(&read(&mut successor, 1).await)["a"], [2]);
}

pub async fn two_groups_both_get_everything<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    publish(&f.publisher(), &[message("a", 0), message("b", 0)]).await;
    for name in ["one", "two"] {
        let mut consumer = f.consumer(&group(name), &topic(), StartAt::Earliest);
        assert_eq!(read(&mut consumer, 2).await.len(), 2);
    }
}

pub async fn a_paused_partition_delivers_nothing_until_resumed<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let publisher = f.publisher();
    let mut consumer = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let partitions = assigned(&mut consumer).await;
    consumer.flow(&partitions, Flow::Paused);
    publish(&publisher, &[message("a", 0)]).await;
    let paused = tokio::time::timeout(Duration::from_millis(200), read(&mut consumer, 1)).await;
    assert!(paused.is_err(), "a paused partition delivered {paused:?}");
    consumer.flow(&partitions, Flow::Running);
    assert_eq!(read(&mut consumer, 1).await.len(), 1);
}

pub async fn partitions_are_divided_and_revoked_before_they_go<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 4).await;
    let mut first = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let all = assigned(&mut first).await;
    assert_eq!(all.len(), 4);
    let mut second = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let mut held_by_first = all;
    let mut held_by_second = Vec::new();
    let dividing = async {
        while held_by_second.len() != 2 {
            tokio::select! {
                event = first.next() => if let Incoming::Revoked { partitions, .. } = event.unwrap() {
                    held_by_first.retain(|p| !partitions.contains(p));
                    first.release(&partitions).await.unwrap();
                },
                event = second.next() => if let Incoming::Assigned(more) = event.unwrap() {
                    for assignment in more {
                        assert!(!held_by_first.contains(&assignment.partition), "assigned before it was given back");
                        held_by_second.push(assignment.partition);
                    }
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, dividing).await.unwrap();
    assert_eq!(held_by_first.len(), 2);
}

pub async fn a_revoked_partition_may_be_committed_until_it_is_released<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let messages: Vec<_> = ["a", "b", "c", "d", "e", "f"]
        .map(|key| message(key, 0))
        .into();
    publish(&f.publisher(), &messages).await;
    let mut first = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let deliveries = read(&mut first, 6).await;
    let mut second = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let moving = async {
        let mut moved = None;
        loop {
            tokio::select! {
                event = first.next() => if let Incoming::Revoked { partitions, .. } = event.unwrap() {
                    first.commit(&behind(&deliveries)).await.unwrap();
                    first.release(&partitions).await.unwrap();
                    moved = partitions.into_iter().next();
                },
                event = second.next() => match event.unwrap() {
                    Incoming::Assigned(assigned) => {
                        let end = behind(&deliveries).into_iter().find(|p| Some(&p.partition) == moved.as_ref());
                        assert_eq!(Some(assigned[0].start), end.map(|p| p.offset));
                        break;
                    }
                    other => panic!("{other:?}"),
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, moving).await.unwrap();
}

pub async fn a_former_holder_cannot_commit<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    publish(&f.publisher(), &[message("a", 0), message("a", 1)]).await;
    let mut zombie = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let deliveries = read(&mut zombie, 2).await;
    // The zombie stands still: its lease ends and the successor takes over.
    let mut successor = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    assert_eq!(keyed(&read(&mut successor, 2).await)["a"], [0, 1]);
    let refused = zombie.commit(&behind(&deliveries)).await;
    assert!(matches!(refused, Err(Error::NotAssigned(_))), "{refused:?}");
    drop(successor);
    let mut third = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    assert_eq!(
        keyed(&read(&mut third, 2).await)["a"],
        [0, 1],
        "the zombie moved the offset"
    );
}

pub async fn a_dropped_wait_loses_nothing<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let publisher = f.publisher();
    let mut consumer = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let mut seen = Vec::new();
    for number in 0..50 {
        publish(&publisher, &[message("a", number)]).await;
        // Dropped at whichever await it has reached by then.
        if let Ok(Ok(Incoming::Deliveries(deliveries))) =
            tokio::time::timeout(Duration::from_micros(50 * number as u64), consumer.next()).await
        {
            seen.extend(deliveries);
        }
    }
    let left = 50 - seen.len();
    seen.extend(read(&mut consumer, left).await);
    assert_eq!(keyed(&seen)["a"], (0..50).collect::<Vec<_>>());
}

pub async fn tombstones_and_keyless_messages_travel<F: Fixture>(f: &F) {
    f.create_topic(&topic(), 3).await;
    let mut tombstone = message("a", 0);
    tombstone.payload = None;
    let mut keyless = message("b", 1);
    keyless.key = None;
    keyless.headers.append("binary", vec![0xff, 0x00]);
    publish(&f.publisher(), &[tombstone.clone(), keyless.clone()]).await;
    let mut consumer = f.consumer(&group("g"), &topic(), StartAt::Earliest);
    let mut read: Vec<Message> = read(&mut consumer, 2)
        .await
        .into_iter()
        .map(|delivery| match delivery.content {
            Content::Message(message) => message,
            Content::Raw(raw) => panic!("{raw:?}"),
        })
        .collect();
    read.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(read, [tombstone, keyless]);
}
