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

mod membership;
mod offsets;
mod publishing;
mod reading;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use crate::{
    Group, Key, Kind, Message, MessageId, Source, StartAt, Topic,
    broker::{Consumer, ConsumerEvent, Content, Delivery, Partition, Position, Publisher},
};

pub use membership::*;
pub use offsets::*;
pub use publishing::*;
pub use reading::*;

/// What a broker brings to the suite.
#[async_trait]
pub trait Fixture: Send + Sync {
    type Publisher: Publisher;
    type Consumer: Consumer;

    /// Creates a topic.
    async fn create_topic(&self, topic: &Topic, partitions: u16);

    fn publisher(&self) -> Self::Publisher;

    /// A new member. Its fetches are bounded to about 50,000 bytes; its lease and the time it has to give partitions back should be a second at most.
    async fn consumer(&self, group: &Group, topics: &[Topic], start_at: StartAt) -> Self::Consumer;

    /// Appends a record with the payload [`FOREIGN`] that is not a message of ours.
    async fn append_foreign(&self, partition: &Partition);

    /// Removes the records of a partition below `offset`, as a retention does that waits for nobody.
    async fn lose_records(&self, partition: &Partition, offset: i64);

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
            messages_of_one_key_keep_their_order
            a_refused_message_stops_its_key_and_no_other
            an_unknown_topic_is_refused
            tombstones_and_keyless_messages_travel
            a_refusal_stops_its_key_in_its_topic_only
            a_refused_message_without_key_stops_nothing
            every_message_gets_one_answer
            every_part_of_a_message_travels
            a_group_reads_everything_from_the_earliest
            a_group_that_starts_at_the_latest_reads_only_what_comes_after
            two_groups_both_get_everything
            a_paused_partition_delivers_nothing_until_resumed
            a_dropped_wait_loses_nothing
            an_assignment_is_told_before_its_first_delivery
            one_member_reads_several_topics
            a_record_of_another_kind_is_delivered_raw_in_its_place
            a_group_that_has_not_come_as_far_as_the_log_begins_stops_loudly
            a_member_whose_next_records_are_removed_stops_loudly
            a_fetch_is_bounded_in_bytes_and_every_partition_has_its_turn
            what_was_committed_is_not_delivered_again
            what_was_not_committed_is_delivered_to_the_next_holder
            offsets_never_move_back
            one_commit_stores_several_partitions
            a_commit_that_names_a_partition_twice_stores_the_highest
            a_commit_with_a_foreign_partition_stores_the_others
            an_empty_commit_is_nothing
            partitions_are_divided_and_revoked_before_they_go
            a_revoked_partition_may_be_committed_until_it_is_released
            a_former_holder_cannot_commit
            what_was_committed_before_the_loss_counts
            a_member_that_stalled_is_told_what_it_lost
            polling_keeps_the_membership_while_everything_is_paused
            pausing_what_is_not_held_is_ignored
            a_partition_that_comes_back_flows
            a_revocation_that_is_not_answered_ends_in_a_loss
            who_leaves_hands_everything_on
        );
    };
    (@cases $arguments:tt $fixture:expr; $($case:ident)*) => {
        $($crate::conformance!(@case $arguments $fixture; $case);)*
    };
    (@case ($($arguments:tt)*) $fixture:expr; $case:ident) => {
        #[tokio::test($($arguments)*)] async fn $case() { $crate::conformance::$case(&$fixture.await).await; }
    };
}

const PATIENCE: Duration = Duration::from_secs(120);

/// Payload of a record that is not a message of ours.
pub const FOREIGN: &[u8] = &[0xff, 0x00, b'?'];

/// Enough keys that not all of them lie in one of four partitions.
const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn topic() -> Topic {
    Topic::from_static("orders")
}

fn other_topic() -> Topic {
    Topic::from_static("other")
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

fn oversize<F: Fixture>(f: &F, mut message: Message) -> Message {
    message.payload = Some(vec![0; f.too_large()].into());
    message
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
            if let ConsumerEvent::Deliveries(deliveries) = consumer.next().await.unwrap() {
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
            if let ConsumerEvent::Assigned(assigned) = consumer.next().await.unwrap() {
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

async fn assert_nothing_more(consumer: &mut impl Consumer) {
    let more = tokio::time::timeout(Duration::from_millis(200), read(consumer, 1)).await;
    assert!(more.is_err(), "{more:?}");
}
