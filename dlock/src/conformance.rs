//! The contract of [`LeaseStore`] and [`Fences`], and of [`Locks`] on them, as tests for any store.
//!
//! Implement [`Fixture`] and write `mainstay_dlock::conformance!(fixture());` in a test module. It emits one test per
//! case, named after the guarantee that the case shows. The cases wait on conditions.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::future_not_send,
    reason = "a test suite"
)]
#![expect(
    missing_docs,
    reason = "each case is named after the guarantee it shows"
)]

mod faulty;
mod fences;
mod leaders;
mod leases;
mod locks;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::Transactions;

use crate::{
    Fences, FencingToken, Locks, LocksBuilder,
    store::{Acquired, Claim, Holding, LeaseStore},
};

pub use fences::*;
pub use leaders::*;
pub use leases::*;
pub use locks::*;

/// What a store provides to the suite.
#[async_trait]
pub trait Fixture: Send + Sync {
    type Leases: LeaseStore + Clone;
    type Database: Transactions;
    type Fences: Fences<Connection = <Self::Database as Transactions>::Connection> + Clone;

    fn leases(&self) -> Self::Leases;

    /// The same leases as another process has them: with connections of its own.
    async fn other_process(&self) -> Self::Leases;

    /// Where the guarded rows are.
    fn database(&self) -> &Self::Database;

    fn fences(&self) -> Self::Fences;

    /// Whether leases can be renewed while a transaction of [`database`](Self::database) is open. Not so on SQLite.
    fn renews_beside_transactions(&self) -> bool {
        true
    }
}

/// Emits one `#[tokio::test]` per case for the fixture that the expression makes. With `if_there` the expression makes an
/// `Option`, which is `None` where there is no server.
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
            a_lock_has_one_owner
            of_many_that_ask_at_once_one_is_granted
            locks_with_other_names_are_other_locks
            a_released_lock_is_granted_with_a_larger_token
            an_ended_lease_is_granted_with_a_larger_token
            tokens_grow_however_leases_end
            asking_again_keeps_the_lock_and_its_token
            a_token_is_above_the_floor_and_so_are_those_after_it
            a_renewed_lease_lasts
            an_ended_lease_is_not_renewed
            a_renewal_tells_of_each_lease
            a_late_renewal_leaves_the_successor_alone
            a_late_release_leaves_the_successor_alone
            a_release_may_be_repeated
            a_former_holders_token_is_refused_with_the_newest
            a_token_is_accepted_again_and_again
            a_rolled_back_check_never_was
            a_check_waits_for_the_transaction_of_another_holder
            an_open_transaction_keeps_no_lease_from_being_renewed
            a_guard_is_renewed_for_as_long_as_it_is_held
            a_try_answers_at_once
            a_wait_ends_with_the_lock_or_at_its_deadline
            a_released_or_dropped_guard_frees_its_lock
            work_is_dropped_when_its_lease_is_lost
            a_lease_that_was_lost_stays_lost
            a_lost_answer_to_an_acquisition_costs_nothing
            a_lost_answer_to_a_release_frees_the_lock_all_the_same
            an_acquisition_that_is_given_up_frees_the_lock
            a_refused_token_is_followed_by_a_larger_one
            of_many_candidates_one_leads_at_a_time
            a_leader_that_loses_its_lease_is_replaced
            a_leader_whose_work_fails_lets_others_lead
            a_leader_that_releases_its_guard_comes_to_its_end
            a_shutdown_ends_the_work_and_frees_the_lock
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

/// A lease that does not end during a case.
const LONG: Duration = Duration::from_secs(120);
/// A lease whose end a case waits for.
const SHORT: Duration = Duration::from_millis(300);
/// A lease that is renewed in time on a machine that is busy, too.
const RENEWED: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// What `owner` gets.
async fn acquire(store: &impl LeaseStore, name: &str, owner: &str, lease: Duration) -> Acquired {
    let claim = Claim {
        holding: Holding { name, owner },
        lease,
        above: FencingToken::ZERO,
    };
    store.acquire(claim).await.unwrap()
}

/// The token of a lock that `owner` has to get.
async fn token(store: &impl LeaseStore, name: &str, owner: &str, lease: Duration) -> FencingToken {
    match acquire(store, name, owner, lease).await {
        Acquired::Granted(token) => token,
        held @ Acquired::Held { .. } => panic!("{owner} does not get {name}: {held:?}"),
    }
}

async fn is_held(store: &impl LeaseStore, name: &str) -> bool {
    // If it is granted, it ends at once.
    let acquired = acquire(store, name, "who asks", Duration::ZERO).await;
    matches!(acquired, Acquired::Held { .. })
}

/// Locks that look every few milliseconds.
fn quick(store: impl LeaseStore) -> LocksBuilder {
    Locks::builder(store).poll_interval(Duration::from_millis(20))
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
