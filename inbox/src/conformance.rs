//! The contract of [`Inbox`] and [`Retention`], and what a [`Worker`](crate::Worker) makes of it, as tests that any
//! store can run.
//!
//! Implement [`Fixture`] and write `mainstay_inbox::conformance!(fixture());` in a test module: one named test per case,
//! each named after the guarantee it shows. The cases wait on conditions.
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
mod ownership;
mod parking;
mod retention;
mod script;

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_messaging::{Consumer, Group, Partition, Publisher, Topic};

use crate::{Inbox, Retention};

pub use admission::*;
pub use failures::*;
pub use flow::*;
pub use ownership::*;
pub use parking::*;
pub use retention::*;

/// What a store brings to the suite, and a broker to read from.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    type Database: Transactions;
    type Inbox: Inbox<Connection = <Self::Database as Transactions>::Connection> + Retention;
    type Publisher: Publisher;
    type Consumer: Consumer;

    /// If it ends transactions that lie idle, then after more than an hour: some handlers of the suite may take that long.
    fn database(&self) -> Arc<Self::Database>;

    fn inbox(&self) -> Arc<Self::Inbox>;

    /// Writes an effect through a transaction.
    async fn write(
        connection: &mut <Self::Database as Transactions>::Connection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error>;

    /// The effects that are committed, in the order they were written.
    async fn effects(&self) -> Vec<String>;

    /// How many marks are committed.
    async fn marks(&self) -> usize;

    /// Creates a topic in an empty broker.
    async fn create_topic(&self, topic: &Topic, partitions: u16);

    fn publisher(&self) -> Self::Publisher;

    /// A new member that starts at the earliest record. Its lease, and the time it has for giving partitions back, should be
    /// about a second: cases wait for both to end, and a busy host must not make them end by itself.
    fn consumer(&self, group: &Group, topic: &Topic) -> Self::Consumer;

    /// Of each partition: what the group has committed, and the end of the log.
    async fn progress(&self, group: &Group) -> Vec<(Partition, i64, i64)>;

    /// Appends a record with this key that is no message of ours.
    async fn append_raw(&self, partition: &Partition, key: &str);
}

type Connection<F> = <<F as Fixture>::Database as Transactions>::Connection;

/// Emits one `#[tokio::test]` per case for the fixture that the expression makes; with `if_there`, for the fixture that it
/// makes where the server is.
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
            effect_and_mark_are_committed_or_rolled_back_together
            what_was_committed_is_a_duplicate_ever_after
            of_two_in_one_batch_the_second_is_a_duplicate
            two_consumers_are_admitted_once_each
            an_id_is_unique_only_together_with_its_source
            a_record_that_is_no_message_is_known_by_its_position
            an_open_admission_is_waited_for
            everything_is_handled_once_though_published_twice
            a_crash_between_handler_and_commit_loses_nothing_and_repeats_nothing
            a_key_is_serial_and_in_order_under_failures_while_others_flow
            keyless_messages_wait_for_nobody
            no_offset_is_committed_beyond_the_lowest_unfinished_one
            a_span_at_its_bound_pauses_the_partition
            a_span_of_many_bytes_pauses_the_partition
            a_kind_without_handler_is_acknowledged
            the_notifier_rings_after_each_commit
            a_notifier_that_panics_holds_nothing_up
            two_handlers_of_one_kind_are_refused
            the_message_that_fails_is_isolated_from_its_batch
            a_batch_handler_gets_many_at_once
            a_batch_handler_that_names_nobody_is_halved
            a_batch_handler_that_names_the_culprit_is_believed
            an_interruption_counts_as_no_attempt
            a_panic_is_a_failed_attempt
            a_panic_while_decoding_stops_only_its_key
            a_handler_that_does_not_end_in_time_has_failed
            what_cannot_be_read_stops_only_its_key_and_is_kept
            what_cannot_be_read_but_was_done_is_a_duplicate
            exhausted_attempts_stop_the_key_until_it_heals
            a_message_that_is_kept_elsewhere_lets_its_key_go_on
            a_failing_parking_acknowledges_nothing
            a_revocation_drains_what_is_in_flight
            a_revocation_abandons_what_does_not_end_in_time
            a_late_commit_of_a_zombie_is_a_duplicate
            a_former_holder_that_was_first_makes_a_duplicate_of_the_new_one
            shutdown_finishes_what_is_in_flight
            shutdown_abandons_what_does_not_end_in_time
            nothing_is_forgotten_that_may_come_again
            what_is_older_than_the_window_is_forgotten_in_steps
            a_log_created_anew_loses_no_marks_to_an_old_checkpoint
            a_log_created_anew_loses_no_marks_when_all_old_ones_are_forgotten
            a_mark_stays_while_another_copy_of_its_message_may_come_again
            what_was_committed_and_comes_again_is_uncommitted_again
            a_worker_forgets_by_itself
            a_worker_whose_clock_is_ahead_forgets_nothing_before_its_time
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
