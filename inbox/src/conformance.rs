//! The contract of a store, and what a [`Worker`](crate::Worker) makes of it, as tests that any
//! store can run.
//!
//! Implement [`Fixture`] and write `mainstay_inbox::conformance!(fixture());` in a test module.
//! That makes one test per case, named after the guarantee that it shows. The cases wait on
//! conditions, never for a fixed time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]
#![expect(missing_docs, reason = "the cases are named after what they show")]

mod admission;
mod failures;
mod flow;
mod harness;
mod kinds;
mod ownership;
mod policy;
mod retention;
mod script;

use async_trait::async_trait;
use mainstay_messaging::{Consumer, Group, Partition, Publisher, Topic};

use crate::{Inbox, store::WorkerStore};

pub use admission::*;
pub use failures::*;
pub use flow::*;
pub use kinds::*;
pub use ownership::*;
pub use policy::*;
pub use retention::*;

/// A store under test, and a broker to read from.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// The store. Its database may end idle transactions only after more than an hour: some
    /// handlers of the suite take that long.
    type Inbox: WorkerStore;
    type Publisher: Publisher;
    type Consumer: Consumer;

    fn inbox(&self) -> Self::Inbox;

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

    /// A new member of the group that starts at the earliest record. Its lease, and its time to
    /// release revoked partitions, should be about a second: some cases wait until they end, and
    /// they must not end by themselves on a busy host.
    async fn consumer(&self, group: &Group, topic: &Topic) -> Self::Consumer;

    /// For each partition: the group's committed offset, and the end of the log.
    async fn progress(&self, group: &Group) -> Vec<(Partition, i64, i64)>;

    /// Appends a record with this key that is not a message.
    async fn append_raw(&self, partition: &Partition, key: &str);
}

type Connection<F> = <<F as Fixture>::Inbox as Inbox>::Connection;
type Database<F> = <<F as Fixture>::Inbox as WorkerStore>::Database;

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
            effect_and_processed_record_commit_or_roll_back_together
            a_committed_message_is_a_duplicate_from_then_on
            the_second_delivery_in_one_batch_is_a_duplicate
            each_consumer_admits_a_message_once
            an_id_is_unique_only_together_with_its_source
            a_record_that_is_not_a_message_is_identified_by_its_position
            admission_waits_for_an_open_one_of_the_same_message
            each_message_is_handled_once_although_published_twice
            a_crash_between_handler_and_commit_loses_and_repeats_no_effect
            a_key_stays_serial_and_in_order_under_failures_while_others_go_on
            messages_without_a_key_do_not_wait_for_each_other
            no_offset_is_committed_beyond_the_lowest_unfinished_one
            a_full_in_flight_window_pauses_the_partition
            an_in_flight_window_full_of_bytes_pauses_the_partition
            a_kind_without_handler_is_acknowledged
            a_blocked_kind_waits_in_the_log_for_a_build_that_handles_it
            a_blocked_kind_that_a_newer_build_processed_is_a_duplicate
            an_ignored_kind_is_acknowledged_where_unknown_kinds_are_blocked
            on_commit_is_called_after_each_commit
            a_panic_in_on_commit_stops_nothing
            two_handlers_of_one_kind_are_refused
            a_failing_message_does_not_fail_the_rest_of_its_batch
            failures_now_and_then_leave_the_others_their_transactions
            a_batch_handler_gets_all_events_of_a_transaction_at_once
            a_batch_is_halved_until_the_failing_event_is_found
            a_batch_handler_can_name_the_failing_event
            an_interruption_counts_no_attempt
            a_panic_is_a_failed_attempt
            a_panic_while_decoding_blocks_only_its_key
            a_handler_that_exceeds_its_deadline_has_failed
            an_unreadable_record_blocks_only_its_key_and_stays_in_the_log
            an_unreadable_message_that_was_processed_is_a_duplicate
            exhausted_attempts_block_the_key_until_the_message_succeeds
            a_dead_lettered_message_lets_its_key_go_on
            a_failing_failure_policy_acknowledges_nothing
            a_revocation_drains_running_transactions
            a_revocation_abandons_transactions_that_do_not_end_in_time
            a_late_commit_of_a_zombie_is_a_duplicate
            a_former_owner_that_commits_first_makes_the_new_one_a_duplicate
            shutdown_finishes_running_transactions
            shutdown_abandons_transactions_that_do_not_end_in_time
            no_record_is_pruned_while_its_message_may_come_again
            records_older_than_the_window_are_pruned_in_steps
            a_recreated_log_loses_no_records_to_an_old_checkpoint
            a_recreated_log_loses_no_records_after_all_old_ones_were_pruned
            a_record_stays_while_a_redelivery_of_its_message_may_come_again
            a_committed_message_that_comes_again_counts_as_uncommitted
            a_worker_prunes_by_itself
            a_worker_whose_clock_is_ahead_prunes_nothing_early
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
