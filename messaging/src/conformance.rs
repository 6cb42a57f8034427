//! The contract of [`Publisher`] and [`Consumer`] as tests that any broker can run.
//!
//! Implement [`PublisherFixture`], [`ConsumerFixture`] or both, and write
//! `mainstay_messaging::conformance!(fixture());` in a test module: it becomes one named test per
//! case. A broker that only publishes writes `conformance!(publisher: fixture());`, see the
//! [macro](crate::conformance!). The cases wait on conditions, so they run on real and on paused
//! time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]
#![expect(missing_docs, reason = "the name of a case says what it shows")]

mod membership;
mod offsets;
mod outages;
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
pub use outages::*;
pub use publishing::*;
pub use reading::*;

/// What every broker brings to the suite.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Creates a topic.
    async fn create_topic(&self, topic: &Topic, partitions: u16);
}

/// What the cases of [`Publisher`] need.
#[async_trait]
pub trait PublisherFixture: Fixture {
    type Publisher: Publisher;

    fn publisher(&self) -> Self::Publisher;

    /// Every record of a topic, those of one partition in offset order.
    async fn records(&self, topic: &Topic) -> Vec<Delivery>;

    /// A payload of this many bytes is more than the broker accepts.
    fn too_large(&self) -> usize;
}

/// What the cases of [`Consumer`] need.
#[async_trait]
pub trait ConsumerFixture: Fixture {
    type Consumer: Consumer;

    /// A new member. Its fetches hold about 50,000 bytes at most; its lease and the time it has to
    /// give partitions back should be a second at most.
    async fn consumer(&self, group: &Group, topics: &[Topic], start_at: StartAt) -> Self::Consumer;

    /// Appends messages, in this order.
    async fn append(&self, messages: &[Message]);

    /// Appends a record with the payload [`FOREIGN`] that is not a message.
    async fn append_foreign(&self, partition: &Partition);

    /// Removes the records of a partition below `offset`, read or not, as a retention does.
    async fn lose_records(&self, partition: &Partition, offset: i64);
}

/// What the cases of outages need.
#[async_trait]
pub trait OutageFixture: PublisherFixture + ConsumerFixture {
    /// From now on the broker stores nothing and answers retryable errors. [`heal`](Self::heal)
    /// follows at once: an outage is shorter than a lease.
    async fn fail(&self);

    /// The broker works again.
    async fn heal(&self);
}

/// Emits one `#[tokio::test]` per case for the fixture that the expression makes.
///
/// Before the expression, `paused` runs the cases on tokio's paused time, for a broker whose clock
/// follows it; `if_there` takes an `Option` of a fixture, and runs nothing where there is none.
/// Before that, a part chooses some of the cases:
///
/// | part | cases of | fixture |
/// |---|---|---|
/// | none | publisher and consumer | [`PublisherFixture`] and [`ConsumerFixture`] |
/// | `publisher:` | [`Publisher`] | [`PublisherFixture`] |
/// | `consumer:` | [`Consumer`] | [`ConsumerFixture`] |
/// | `outage:` | both, while the broker fails | [`OutageFixture`] |
///
/// [`Publisher`]: $crate::broker::Publisher
/// [`Consumer`]: $crate::broker::Consumer
/// [`PublisherFixture`]: $crate::conformance::PublisherFixture
/// [`ConsumerFixture`]: $crate::conformance::ConsumerFixture
/// [`OutageFixture`]: $crate::conformance::OutageFixture
#[macro_export]
macro_rules! conformance {
    (publisher: if_there $fixture:expr) => { $crate::conformance!(@publisher () $fixture); };
    (publisher: paused $fixture:expr) => { $crate::conformance!(@publisher (start_paused = true) $crate::conformance!(@some $fixture)); };
    (publisher: $fixture:expr) => { $crate::conformance!(@publisher () $crate::conformance!(@some $fixture)); };
    (consumer: if_there $fixture:expr) => { $crate::conformance!(@consumer () $fixture); };
    (consumer: paused $fixture:expr) => { $crate::conformance!(@consumer (start_paused = true) $crate::conformance!(@some $fixture)); };
    (consumer: $fixture:expr) => { $crate::conformance!(@consumer () $crate::conformance!(@some $fixture)); };
    (outage: if_there $fixture:expr) => { $crate::conformance!(@outage () $fixture); };
    (outage: paused $fixture:expr) => { $crate::conformance!(@outage (start_paused = true) $crate::conformance!(@some $fixture)); };
    (outage: $fixture:expr) => { $crate::conformance!(@outage () $crate::conformance!(@some $fixture)); };
    (if_there $fixture:expr) => {
        $crate::conformance!(publisher: if_there $fixture);
        $crate::conformance!(consumer: if_there $fixture);
    };
    (@some $fixture:expr) => { ::std::future::ready(::std::option::Option::Some($fixture.await)) };
    (paused $fixture:expr) => {
        $crate::conformance!(publisher: paused $fixture);
        $crate::conformance!(consumer: paused $fixture);
    };
    (@publisher $arguments:tt $fixture:expr) => {
        $crate::conformance!(@cases $arguments $fixture;
            messages_of_one_key_keep_their_order
            a_refused_message_stops_its_key_and_no_other
            an_unknown_topic_is_refused
            tombstones_and_keyless_messages_travel
            a_refusal_stops_its_key_in_its_topic_only
            a_refused_message_without_key_stops_nothing
            every_message_has_one_outcome
            every_part_of_a_message_travels
            every_time_travels
        );
    };
    (@consumer $arguments:tt $fixture:expr) => {
        $crate::conformance!(@cases $arguments $fixture;
            a_consumer_knows_its_group
            a_group_reads_everything_from_the_earliest
            a_group_that_starts_at_the_latest_reads_only_what_comes_after
            a_topic_that_is_created_after_a_group_joined_is_read_from_its_beginning
            two_groups_both_get_everything
            a_paused_partition_delivers_nothing_until_resumed
            a_dropped_wait_loses_nothing
            an_assignment_comes_before_its_first_delivery
            one_member_reads_several_topics
            a_record_of_another_kind_is_delivered_raw_in_its_place
            a_group_whose_offset_is_below_the_log_stops_with_an_error
            a_member_whose_next_records_are_removed_stops_with_an_error
            a_fetch_is_bounded_in_bytes_and_every_partition_has_its_turn
            committed_records_are_not_delivered_again
            uncommitted_records_are_delivered_to_the_next_holder
            offsets_never_move_back
            one_commit_stores_several_partitions
            a_commit_that_names_a_partition_twice_stores_the_highest
            a_commit_with_a_foreign_partition_stores_the_others
            an_empty_commit_does_nothing
            partitions_are_divided_and_revoked_before_they_go
            a_revoked_partition_may_be_committed_until_it_is_released
            a_former_holder_cannot_commit
            commits_before_a_loss_count
            a_member_that_stalled_is_told_what_it_lost
            polling_keeps_the_membership_while_everything_is_paused
            pausing_a_partition_that_is_not_held_is_ignored
            a_partition_that_comes_back_is_not_paused
            a_revocation_without_an_answer_ends_in_a_loss
            a_member_that_leaves_hands_everything_on
            a_partition_that_was_released_unasked_is_announced_anew
            a_release_from_before_a_loss_does_not_strand_the_partition
        );
    };
    (@outage $arguments:tt $fixture:expr) => {
        $crate::conformance!(@cases $arguments $fixture;
            publishing_during_an_outage_is_unknown_and_is_repeated_in_order
            reading_during_an_outage_fails_and_continues_where_it_was
            a_success_after_an_outage_is_an_event
            a_commit_during_an_outage_can_be_repeated
            a_release_during_an_outage_can_be_repeated
        );
    };
    (@cases $arguments:tt $fixture:expr; $($case:ident)*) => {
        $($crate::conformance!(@case $arguments $fixture; $case);)*
    };
    (@case ($($arguments:tt)*) $fixture:expr; $case:ident) => {
        #[tokio::test($($arguments)*)] async fn $case() {
            if let ::std::option::Option::Some(fixture) = $fixture.await {
                $crate::conformance::$case(&fixture).await;
            }
        }
    };
    ($fixture:expr) => {
        $crate::conformance!(publisher: $fixture);
        $crate::conformance!(consumer: $fixture);
    };
}

const PATIENCE: Duration = Duration::from_secs(120);

/// Payload of a record that is not a message.
pub const FOREIGN: &[u8] = &[0xff, 0x00, b'?'];

/// Enough keys that they are in more than one of four partitions.
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

fn oversize<F: PublisherFixture>(f: &F, mut message: Message) -> Message {
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
    for outcome in publisher.publish(messages).await {
        assert!(outcome.is_acknowledged(), "{outcome:?}");
    }
}

/// The next event. On a busy machine a member may be excluded before it begins, which heals by itself.
async fn next(consumer: &mut impl Consumer) -> ConsumerEvent {
    loop {
        match consumer.next().await {
            Ok(event) => return event,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

/// Polls until `count` records have come; ignores other events.
async fn read(consumer: &mut impl Consumer, count: usize) -> Vec<Delivery> {
    let mut read = Vec::new();
    let reading = async {
        while read.len() < count {
            if let ConsumerEvent::Deliveries(deliveries) = next(consumer).await {
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
            if let ConsumerEvent::Assigned(assigned) = next(consumer).await {
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
