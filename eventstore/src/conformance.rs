//! The contract of a store, and what [`EventStore`](crate::EventStore) and
//! [`Rebuild`](crate::Rebuild) make of it, as tests for any store.
//!
//! Implement [`Fixture`] and write `mainstay_eventstore::conformance!(fixture());` in a test module. It
//! emits one test per case, named after the guarantee that the case shows. The cases wait on
//! conditions, never for a fixed time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]
#![expect(
    missing_docs,
    reason = "each case is named after the guarantee it shows"
)]

mod accounts;
mod appends;
mod batches;
mod concurrent;
mod reads;
mod rebuilds;
mod runs;
mod snapshots;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::Transactions;

use crate::store::{RebuildStore, SnapshotStore, StoredEvent, StreamStore};

pub use appends::*;
pub use batches::*;
pub use concurrent::*;
pub use reads::*;
pub use rebuilds::*;
pub use runs::*;
pub use snapshots::*;

/// A store under test.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    type Store: RebuildStore + SnapshotStore + Clone;

    /// The store.
    fn store(&self) -> &Self::Store;

    /// Puts an event into its table as it is, whatever the stream has: `stream` is `aggregate/id`.
    async fn put(&self, stream: &str, event: StoredEvent);

    /// Writes a row into a table of the caller's.
    async fn write(
        connection: &mut <Self::Store as StreamStore>::Connection,
        row: &str,
    ) -> Result<(), mainstay_database::Error>;

    /// Deletes the rows of the caller's table.
    async fn clear(
        connection: &mut <Self::Store as StreamStore>::Connection,
    ) -> Result<(), mainstay_database::Error>;

    /// The committed rows of the caller's table, in the order they were written.
    async fn rows(&self) -> Vec<String>;

    /// Returns once a transaction waits for another one; or, where nobody can tell, once other tasks
    /// have had their turn.
    async fn until_one_waits(&self);
}

/// Makes one `#[tokio::test]` per case, for the fixture that the expression returns. With `if_there`
/// the expression returns an `Option`, and `None` skips the case where the server is missing.
#[macro_export]
macro_rules! conformance {
    (if_there $fixture:expr) => {
        $crate::conformance!(@cases $fixture;
            events_commit_or_roll_back_with_the_callers_transaction
            what_was_appended_is_loaded
            payloads_are_stored_as_they_were_written
            a_conflict_is_told_before_the_commit_and_writes_nothing
            after_a_conflict_the_transaction_loads_and_appends_again
            appending_twice_from_one_load_conflicts
            a_version_that_was_rolled_back_is_no_place_to_append_behind
            an_append_without_events_does_nothing
            create_refuses_an_aggregate_that_exists
            events_are_not_appended_to_another_aggregate_than_was_loaded
            ids_that_no_stream_can_have_are_refused
            positions_go_beyond_two_to_the_31
            of_many_concurrent_appenders_one_wins
            a_later_appender_waits_and_is_refused_if_the_first_one_commits
            a_later_appender_waits_and_goes_on_if_the_first_one_rolls_back
            a_batch_behind_a_commit_in_progress_is_written_whole_or_not_at_all
            a_batch_is_loaded_as_each_aggregate_alone
            a_batch_is_appended_with_the_snapshots_that_are_due
            a_conflict_in_a_batch_keeps_no_other_aggregate_from_being_written
            an_aggregate_that_is_in_a_batch_twice_is_refused
            of_concurrent_batches_one_wins_each_aggregate_and_none_is_a_victim
            every_stored_version_decodes
            an_unreadable_event_names_stream_and_version
            streams_with_names_alike_never_meet
            history_is_read_in_pages_with_times
            an_aggregate_without_events_is_the_default
            a_load_begins_at_the_snapshot
            a_snapshot_is_written_when_it_is_due
            a_snapshot_of_another_shape_is_ignored_and_replaced
            a_snapshot_that_does_not_decode_is_ignored_and_replaced
            a_snapshot_rolls_back_with_its_events
            a_rebuild_gives_each_event_once_and_in_order
            a_rebuild_reads_the_streams_of_its_aggregate_only
            a_rebuild_that_is_done_is_left_alone
            a_higher_shape_begins_anew_and_a_lower_one_is_refused
            a_restarted_rebuild_begins_anew
            an_interrupted_rebuild_goes_on_where_it_was
            a_rebuild_whose_future_is_dropped_goes_on_where_it_was
            a_failing_projection_keeps_what_was_done
            an_error_that_heals_is_retried
            an_unreadable_event_stops_a_rebuild_and_is_named
            processes_share_a_rebuild
            a_step_is_bounded_in_events_and_bytes
            events_appended_behind_a_rebuild_are_read
        );
    };
    (@cases $fixture:expr; $($case:ident)*) => {
        $(#[tokio::test] async fn $case() {
            if let ::std::option::Option::Some(fixture) = $fixture.await {
                $crate::conformance::$case(&fixture).await;
            }
        })*
    };
    ($fixture:expr) => {
        $crate::conformance!(if_there ::std::future::ready(::std::option::Option::Some($fixture.await)));
    };
}

const PATIENCE: Duration = Duration::from_secs(120);

type DatabaseOf<F> = <<F as Fixture>::Store as RebuildStore>::Database;
type ConnectionOf<F> = <<F as Fixture>::Store as StreamStore>::Connection;
type TransactionOf<F> = <DatabaseOf<F> as Transactions>::Transaction;

async fn begin<F: Fixture>(f: &F) -> TransactionOf<F> {
    f.store().database().begin().await.unwrap()
}

async fn commit<F: Fixture>(f: &F, tx: TransactionOf<F>) {
    f.store().database().commit(tx).await.unwrap();
}

/// Fails rather than waits for ever.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.expect("it does not end")
}
