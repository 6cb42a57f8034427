//! The contract of a store, and what the orchestrator makes of it, as tests that any store can run.
//!
//! Implement [`Fixture`] and write `mainstay_saga::conformance!(fixture());` in a test module. That
//! makes one test per case, named after the guarantee that it shows. The cases wait on conditions,
//! never for a fixed time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::future_not_send,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]
#![expect(missing_docs, reason = "the cases are named after what they show")]

mod breakdowns;
mod desk;
mod harness;
mod participants;
mod races;
mod rules;
mod runs;
mod steps;
mod versions;

use async_trait::async_trait;

use crate::store::{DeskStore, ParticipantStore, SagaStore};

pub use breakdowns::*;
pub use desk::*;
pub use participants::*;
pub use races::*;
pub use rules::*;
pub use runs::*;
pub use steps::*;
pub use versions::*;

/// A store under test.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    type Store: DeskStore
        + ParticipantStore<Connection = <Self::Store as SagaStore>::Connection>
        + Clone;

    /// The store. Every call is of the same tables.
    fn sagas(&self) -> Self::Store;

    /// Writes an effect in a transaction.
    async fn write(
        connection: &mut Connection<Self>,
        effect: &str,
    ) -> Result<(), mainstay_database::Error>;

    /// The committed effects, in the order they were written.
    async fn effects(&self) -> Vec<String>;
}

type Connection<F> = <<F as Fixture>::Store as SagaStore>::Connection;
type Database<F> = <<F as Fixture>::Store as SagaStore>::Database;

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
            rule_a_a_reply_counts_only_if_it_names_the_command_that_the_run_waits_for
            rule_a_a_reused_key_gets_new_command_ids
            rule_a_the_attempt_rises_only_after_a_known_refusal
            rule_b_before_the_pivot_a_timeout_undoes_the_step_in_flight_too
            rule_b_from_the_sending_of_the_pivot_on_a_timeout_only_reports
            rule_c_a_command_and_its_undo_share_topic_and_key
            rule_c_a_retry_waits_for_the_timer_of_its_run
            rule_c_an_undo_without_a_do_is_undone_and_the_do_behind_it_refused
            rule_d_an_undo_never_gives_up_and_is_reported_overdue
            rule_e_a_broken_run_keeps_its_reply_and_stops_no_other
            rule_f_a_start_is_idempotent_by_business_key_in_the_callers_transaction
            rule_g_a_cancel_is_a_refusal_at_the_next_safe_point
            rule_g_a_cancel_behind_the_sending_of_the_pivot_is_undecided
            rule_h_timer_and_reply_lock_the_run_and_look_again
            a_run_ends_all_done
            a_run_ends_all_undone_in_reverse_order
            a_start_waits_for_another_one_of_its_key
            a_start_that_is_rolled_back_leaves_nothing
            a_batch_of_replies_advances_each_run_once
            replies_to_one_run_at_once_are_taken_one_by_one
            a_deadline_undoes_the_run
            due_runs_are_taken_in_order_and_in_parts
            ended_runs_are_pruned_with_their_journals
            a_broken_run_goes_on_after_a_retry
            a_broken_run_that_takes_its_replies_sends_what_follows_once
            a_panic_in_a_step_breaks_its_run
            a_damaged_row_is_refused_and_stops_no_timer
            a_run_of_a_newer_build_is_left_untouched_and_stops_no_timer
            a_failing_local_step_rolls_the_transition_back_and_stops_no_timer
            a_failing_observer_stops_no_timer_of_another_run
            a_local_step_commits_with_its_transition
            a_local_step_is_undone_in_its_own_transaction
            a_local_step_without_a_handler_is_refused_at_the_start
            a_group_waits_for_all_of_its_steps
            a_group_is_undone_with_what_is_in_flight
            one_kind_of_event_may_be_done_and_refused
            an_observer_writes_in_the_transitions_transaction
            an_observer_has_the_trace_of_the_reply
            an_observer_may_take_all_transitions_of_a_transaction_at_once
            an_incompatible_definition_refuses_old_runs_by_name_and_leaves_them_untouched
            an_older_definition_continues_its_runs
            runs_that_a_build_cannot_continue_are_found_before_it_starts
            lists_find_by_what_is_set_and_page_by_run
            an_act_is_recorded_with_who_and_why
            an_act_without_who_or_why_is_refused
            a_retry_sends_the_command_in_flight_under_the_same_id
            a_skip_takes_the_result_of_the_operator
            a_skip_of_an_undo_goes_on_undoing
            a_timeline_is_text_and_json
            a_step_is_begun_and_undone_once
            steps_that_begin_at_once_are_answered_in_their_order
            a_begin_waits_for_the_undo_of_its_step
            a_batch_of_begins_waits_for_the_undo_of_one_of_its_steps
            a_late_answer_asks_whether_it_is_still_wanted
            only_steps_with_an_undo_are_recorded
            records_of_steps_are_pruned
        );
    };
    (@cases $fixture:expr; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                if let ::std::option::Option::Some(fixture) = $fixture.await {
                    $crate::conformance::$case(fixture).await;
                }
            }
        )+
    };
}
