//! The contract of a store, and what queue, replayer and desk make of it, as tests that any store
//! can run.
//!
//! Implement [`Fixture`] and write `mainstay_dlq::conformance!(fixture());` in a test module. That
//! makes one test per case, named after the guarantee that it shows. Run the inbox's suite too, on
//! [`Decorated`]: a queue is an inbox. The cases wait on conditions, never for a fixed time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]
#![expect(missing_docs, reason = "the cases are named after what they show")]

mod acts;
mod bulk;
mod decorated;
mod harness;
mod protocol;
mod replays;
mod search;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_inbox::{Inbox, store::WorkerStore};
use mainstay_messaging::{Consumer, Group, Partition, Publisher, Topic};

use crate::{DeadLetterQueue, store::QueueStore};

pub use acts::*;
pub use bulk::*;
pub use decorated::Decorated;
pub use protocol::*;
pub use replays::*;
pub use search::*;

/// A queue under test, and a broker to read from.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// The inbox in the queue.
    type Inbox: WorkerStore;
    type Store: QueueStore<Connection = <Self::Inbox as Inbox>::Connection>;
    type Publisher: Publisher;
    type Consumer: Consumer;

    /// The queue, with these delayed retries. Every call is of the same tables.
    fn queue(&self, delays: &[Duration]) -> DeadLetterQueue<Self::Inbox, Self::Store>;

    /// Writes an effect in a transaction.
    async fn write(
        connection: &mut <Self::Inbox as Inbox>::Connection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error>;

    /// The committed effects, in the order they were written.
    async fn effects(&self) -> Vec<String>;

    /// The number of committed processed records.
    async fn processed(&self) -> usize;

    /// Creates a topic in an empty broker.
    async fn create_topic(&self, topic: &Topic, partitions: u16);

    fn publisher(&self) -> Self::Publisher;

    /// A new member of the group that starts at the earliest record.
    async fn consumer(&self, group: &Group, topic: &Topic) -> Self::Consumer;

    /// For each partition: the group's committed offset, and the end of the log.
    async fn progress(&self, group: &Group) -> Vec<(Partition, i64, i64)>;

    /// Appends a record with this key that is not a message.
    async fn append_raw(&self, partition: &Partition, key: &str);
}

type Connection<F> = <<F as Fixture>::Inbox as Inbox>::Connection;
type QueueOf<F> = DeadLetterQueue<<F as Fixture>::Inbox, <F as Fixture>::Store>;

/// Makes one `#[tokio::test]` per case, for the fixture that the expression returns. With
/// `if_there` the expression returns an `Option`, and `None` skips the case where the server is
/// missing.
#[macro_export]
macro_rules! conformance {
    (if_there $fixture:expr) => {
        $crate::conformance!(@list $fixture);
    };
    ($fixture:expr) => {
        $crate::conformance!(@list ::std::future::ready(::std::option::Option::Some($fixture.await)));
    };
    (@list $fixture:expr) => {
        $crate::conformance!(@cases $fixture;
            a_dead_letter_is_kept_and_later_messages_of_its_key_are_held_in_order
            a_dead_letter_commits_with_its_record_and_its_blocked_key
            a_message_that_was_processed_is_not_dead_lettered
            a_message_behind_a_dead_letter_that_is_being_kept_is_held
            a_message_that_is_kept_is_held_although_its_record_was_pruned
            a_message_without_a_key_blocks_nothing
            a_record_that_is_not_a_message_is_kept_byte_for_byte
            keys_of_other_topics_and_consumers_are_not_held
            a_hand_back_waits_for_a_message_that_is_being_held
            a_message_restored_during_a_hand_back_blocks_its_key
            a_hand_back_waits_for_a_message_that_is_being_restored
            an_empty_key_is_handed_back_by_the_sweep
            a_replay_takes_the_lowest_message_and_waits_for_it
            two_replays_at_once_make_one_effect
            effect_and_state_of_a_replay_commit_together
            a_replay_that_fails_blocks_the_key_again
            a_dead_letter_that_was_discarded_is_not_blocked_again
            a_replayed_key_goes_on_in_order_and_live_messages_follow
            a_draining_key_goes_on_after_a_restart
            a_held_message_that_fails_is_the_next_dead_letter
            a_replay_whose_dependency_is_away_counts_nothing
            a_replay_that_exceeds_its_deadline_has_failed
            a_panic_in_a_replay_is_a_failure
            delayed_retries_replay_what_may_heal
            delayed_retries_leave_permanent_failures
            a_dead_letter_replays_after_its_processed_record_was_pruned
            a_held_message_is_not_replayed_before_its_dead_letter
            a_discarded_message_has_no_effect_and_the_others_go_on
            a_discarded_message_can_be_restored_and_replayed
            an_edit_is_a_new_revision_and_the_original_is_kept
            of_two_edits_of_one_revision_one_wins
            an_edit_keeps_identity_and_key_and_decodes
            a_dry_run_leaves_no_trace_of_its_effect
            every_act_is_recorded_with_who_and_why
            an_act_without_who_or_why_is_refused
            failures_with_one_cause_are_one_group
            lists_find_by_what_is_set_and_page_by_number
            a_bulk_replay_goes_on_past_a_message_that_fails
            a_bulk_replay_covers_what_was_there_when_it_began
            a_bulk_replay_goes_on_after_a_restart
            a_bulk_replay_can_be_cancelled
            a_bulk_discard_discards_dead_and_held_messages
            resolved_messages_are_pruned_after_their_retention_and_kept_ones_never
            ended_jobs_are_pruned_with_their_messages
        );
    };
    (@cases $fixture:expr; $($case:ident)*) => {
        $(#[tokio::test] async fn $case() {
            if let ::std::option::Option::Some(fixture) = $fixture.await {
                $crate::conformance::$case(&fixture).await;
            }
        })*
    };
}
