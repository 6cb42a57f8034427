//! The contract of both roles, and what [`Operations`](crate::Operations) makes of leases, as tests
//! for any store.
//!
//! Implement [`RecordsFixture`] or [`LeasesFixture`] and write
//! `mainstay_idempotency::conformance!(records fixture());` or `(leases fixture())` in a test module.
//! It emits one test per case, named after the guarantee that the case shows. The cases wait on
//! conditions, never for a fixed time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::future_not_send,
    reason = "a test suite"
)]
#![expect(
    missing_docs,
    reason = "each case is named after the guarantee it shows"
)]

mod expiry;
mod leases;
mod operations;
mod records;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::Clock;

use crate::{Answer, KeyedRequest, Leases, Records, Scope, store::RecordStore, sweep::Sweep};

pub use expiry::*;
pub use leases::*;
pub use operations::*;
pub use records::*;

/// Records under test.
#[async_trait]
pub trait RecordsFixture: Send + Sync + 'static {
    type Records: RecordStore + Sweep + Clone;

    /// What a second transaction meets that begins a key which an open one has begun.
    const CONCURRENT: Concurrent;

    /// Records that keep answers for a day.
    fn records(&self) -> Self::Records;

    /// The same records, which keep answers for so long.
    async fn records_for(&self, lifetime: Duration) -> Self::Records;

    /// Writes an effect in a transaction.
    async fn write(
        connection: &mut <Self::Records as Records>::Connection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error>;

    /// The committed effects, in the order they were written.
    async fn effects(&self) -> Vec<String>;

    /// How many records are committed, expired or not.
    async fn kept(&self) -> usize;
}

/// What a second transaction meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a fixture names one")]
pub enum Concurrent {
    /// It is told at once that the key is running.
    IsToldAtOnce,
    /// It cannot begin before the first one has ended.
    Waits,
    /// It begins as well, and loses when it completes.
    LosesLater,
}

/// Leases under test.
#[async_trait]
pub trait LeasesFixture: Send + Sync + 'static {
    type Leases: Leases + Clone;

    /// Leases that keep answers for a day, on keys of the test's own.
    async fn leases(&self) -> Self::Leases;

    /// The same, which keep answers for so long.
    async fn leases_for(&self, lifetime: Duration) -> Self::Leases;

    /// The clock of those who hold leases.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Returns when so much time has passed on the store's clock.
    async fn pass(&self, time: Duration);
}

/// Makes one `#[tokio::test]` per case, for the fixture that the expression returns. With `if_there`
/// the expression returns an `Option`, and `None` skips the case where the server is missing.
#[macro_export]
macro_rules! conformance {
    ($role:ident if_there $fixture:expr) => {
        $crate::conformance!(@$role $fixture);
    };
    ($role:ident $fixture:expr) => {
        $crate::conformance!(@$role ::std::future::ready(::std::option::Option::Some($fixture.await)));
    };
    (@records $fixture:expr) => {
        $crate::conformance!(@cases $fixture;
            effect_and_answer_commit_or_roll_back_together
            a_completed_request_is_answered_byte_for_byte
            the_same_key_with_another_fingerprint_is_a_mismatch
            two_tenants_with_the_same_key_never_meet
            operations_with_the_same_key_never_meet
            scopes_that_read_alike_are_apart
            a_request_that_rolled_back_leaves_its_key_free
            a_request_is_done_in_the_transaction_that_completed_it
            a_second_request_is_told_waits_or_loses
            of_many_concurrent_requests_one_makes_the_effect
            the_unique_key_decides_when_a_request_is_completed
            a_batch_is_answered_in_order
            of_two_requests_with_one_key_in_a_batch_the_later_one_waits
            a_batch_is_completed_whole_or_not_at_all
            an_empty_batch_is_nothing
            a_tombstone_is_answered_and_never_processed_again
            an_answer_ends_with_its_lifetime
            an_expired_answer_is_replaced_once
            a_sweep_deletes_expired_answers_only
            a_sweep_deletes_no_more_than_its_limit
            a_sweep_leaves_a_key_that_is_being_processed
            a_sweeper_sweeps_until_it_is_shut_down
        );
    };
    (@leases $fixture:expr) => {
        $crate::conformance!(@cases $fixture;
            of_a_thousand_concurrent_callers_one_gets_the_lease
            a_leased_key_is_running_until_its_lease_ends
            a_completed_key_is_answered_byte_for_byte
            another_fingerprint_is_a_mismatch_in_every_state
            leases_of_two_tenants_with_the_same_key_never_meet
            a_lease_that_has_ended_is_taken_over_with_a_higher_token
            a_former_holder_writes_nothing
            a_former_holder_never_prolongs_its_successors_lease
            a_renewed_lease_lasts_longer
            a_lease_that_has_ended_is_not_renewed
            a_lease_that_has_ended_is_completed_if_nobody_has_the_key
            completing_again_is_the_same
            releasing_again_is_the_same
            a_released_key_is_free_at_once_for_any_fingerprint
            a_completed_key_is_not_released
            tokens_grow_over_every_kind_of_exit
            a_tombstone_of_a_key_is_answered
            a_kept_answer_ends_with_its_lifetime
            a_key_under_a_renewed_lease_outlives_its_lifetime
            an_operation_is_made_once_and_answered_again
            an_operation_keeps_its_lease_for_as_long_as_it_takes
            an_operation_that_fails_frees_its_key
            an_operation_that_panics_frees_its_key
            a_caller_that_goes_away_stops_nothing
            work_is_not_polled_once_its_lease_has_ended
            an_answer_that_was_kept_unheard_is_kept_again
            an_operation_does_nothing_while_the_store_is_away
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

const PATIENCE: Duration = Duration::from_secs(120);

/// A request with this key of one tenant, whose body is `body`.
fn request(key: &str, body: &str) -> KeyedRequest {
    request_in("acme", "POST /orders", key, body)
}

fn request_in(tenant: &str, operation: &str, key: &str, body: &str) -> KeyedRequest {
    let scope = Scope::new(tenant, operation).unwrap();
    KeyedRequest::new(scope.key(key).unwrap(), body)
}

/// Everything that a header may contain: two of one name, commas, quotes, bytes that are not UTF-8.
fn answer(text: &str) -> Answer {
    Answer::new(201_u16, format!("body of {text}").into_bytes())
        .header("location", format!("/orders/{text}"))
        .header("set-cookie", "a=1; Path=/, \"x\"")
        .header("set-cookie", "b=\u{e4}")
        .header("x-bytes", [0xe4, 0xff, 0x09, b'!'])
}

/// Checks again and again until `condition` holds.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let checking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let came_true = tokio::time::timeout(PATIENCE, checking).await.is_ok();
    assert!(came_true, "never came true: {what}");
}
