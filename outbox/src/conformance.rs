//! The contract of [`Outbox`] and [`RelayStore`], and of a [`Relay`] on them, as tests for any store.
//!
//! Implement [`Fixture`] and write `mainstay_outbox::conformance!(fixture());` in a test module. It emits
//! one test per case, named after the guarantee that the case shows. The cases wait on conditions.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::future_not_send,
    reason = "a test suite"
)]
#![expect(
    missing_docs,
    reason = "each case is named after the guarantee it shows"
)]

mod counted;
mod entries;
mod failures;
mod operator;
mod ownership;
mod promises;
mod rounds;
mod tape;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_clock::Backoff;
use mainstay_database::Transactions;
use mainstay_messaging::Message;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Outbox, Relay, RelayHandle,
    operator::Operator,
    store::{Limit, RelayStore},
};

pub use entries::*;
pub use failures::*;
pub use operator::*;
pub use ownership::*;
pub use promises::*;
pub use rounds::*;
pub use tape::Tape;

const LEASE: Duration = Duration::from_secs(60);
const ALL: Limit = Limit {
    messages: 1_000,
    bytes: usize::MAX,
};

/// What a store provides to the suite.
#[async_trait]
pub trait Fixture: Send + Sync {
    type Database: Transactions;
    type Store: Outbox<Connection = <Self::Database as Transactions>::Connection>
        + RelayStore
        + Operator
        + Clone;

    /// The database that [`store`](Self::store) was opened with: its commits notify that store.
    fn database(&self) -> &Self::Database;

    /// The same database through another handle, whose commits notify no store.
    async fn foreign_database(&self) -> Self::Database;

    /// An outbox with four shards, the source `/suite` and messages of at most 10,000 bytes.
    fn store(&self) -> Self::Store;

    /// The same outbox as another process has it: with a database handle and a notifier of its own.
    async fn other_process(&self) -> Self::Store;

    /// The result of opening the same tables with five shards.
    async fn open_with_five_shards(&self) -> Result<(), Error>;

    /// Damages the stored message with this id so that it cannot be read.
    async fn damage(&self, id: &str);

    /// Numbers of rows in the log and in the deferred table.
    async fn rows(&self) -> (usize, usize);
}

/// Emits one `#[tokio::test]` per case for the fixture that the expression makes. With `if_there` the
/// expression makes an `Option`, which is `None` where there is no server.
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
            a_message_is_published_if_and_only_if_its_transaction_committed
            a_quiet_run_publishes_everything_exactly_once
            messages_of_a_key_keep_the_order_of_their_enqueues
            a_batch_keeps_the_order_of_its_slice
            a_former_owner_records_nothing
            an_owner_never_publishes_again_what_it_recorded
            a_dead_relay_is_replaced_when_its_lease_ends
            shards_are_divided_among_relays_and_given_up_at_shutdown
            a_refused_message_blocks_its_key_and_no_other
            a_blocked_key_goes_on_in_order_once_its_head_is_accepted
            two_refusals_of_a_key_in_one_round_keep_its_order
            all_rows_of_a_blocked_key_are_due_when_its_head_is
            blocked_keys_that_are_due_share_a_round
            an_unreadable_row_blocks_its_key_and_is_kept
            an_outage_counts_no_attempts_and_the_backlog_drains_in_order
            a_lost_acknowledgement_repeats_messages_and_keeps_their_order
            a_publish_call_never_outlives_its_lease
            a_delayed_message_waits_and_others_do_not_wait_for_it
            an_endless_delay_is_never_due
            a_delayed_message_of_a_blocked_key_is_held_behind_it
            a_deduplication_key_is_used_once_and_aborts_nothing
            an_oversize_message_is_refused_and_the_transaction_stays_usable
            an_emitted_event_carries_topic_key_kind_version_and_source
            a_message_is_published_as_it_was_enqueued
            a_commit_through_the_database_wakes_the_relay_at_once
            a_notification_wakes_the_relay_at_once
            a_foreign_commit_is_found_by_early_polls
            rows_of_another_process_are_found_at_the_poll_interval
            run_until_finishes_the_round_in_flight
            a_spawned_relay_shows_its_status_and_shuts_down
            a_batch_is_bounded_in_messages_and_in_bytes
            a_fetch_says_whether_its_limit_left_rows_out
            a_fetch_leaves_out_what_is_in_flight
            a_fetch_takes_no_deferred_row_in_flight_for_one_of_the_log
            a_relay_reads_on_while_a_batch_is_published
            a_notified_relay_reads_ahead_if_it_is_notified_again
            a_read_ahead_that_hangs_holds_back_no_shutdown
            a_read_ahead_that_hangs_holds_back_no_refused_message
            what_was_read_behind_a_refused_message_is_read_again
            what_was_read_behind_an_unknown_answer_is_read_again
            another_number_of_shards_is_refused
            status_shows_blocked_keys
            an_operator_sees_what_was_refused_and_what_is_held_behind_it
            a_retry_makes_a_refused_message_due_at_once
            a_discarded_head_lets_its_key_go_on_in_order
            discarding_leaves_the_first_of_the_rest_as_the_head
            a_delayed_message_is_delivered_now_or_discarded
            every_act_is_recorded_with_who_and_why
            an_unreadable_row_can_be_discarded
            an_act_during_a_round_keeps_the_order_of_the_key
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

/// The message `key-number`.
fn message(key: &str, number: usize) -> Message {
    Message::builder()
        .id(format!("{key}-{number}"))
        .source("/suite")
        .topic("orders")
        .kind("Counted")
        .key(key)
        .payload(number.to_string())
        .build()
        .unwrap()
}

fn ids(key: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{key}-{number}")).collect()
}

/// One committed transaction that enqueues `messages`.
async fn commit<F: Fixture>(f: &F, messages: &[Message]) {
    let mut tx = f.database().begin().await.unwrap();
    for message in messages {
        f.store().enqueue(&mut tx, message).await.unwrap();
    }
    f.database().commit(tx).await.unwrap();
}

/// A relay that runs until it is stopped or crashed.
struct Running {
    relay: RelayHandle,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start<S: RelayStore>(store: S, tape: &Tape) -> Self {
        Self::start_as(store, tape, |relay| relay)
    }

    fn start_as<S: RelayStore>(
        store: S,
        tape: &Tape,
        settings: impl FnOnce(Relay<S, Tape>) -> Relay<S, Tape>,
    ) -> Self {
        let quick = Backoff::new(Duration::from_millis(5), Duration::from_millis(20));
        let relay = Relay::new(store, tape.clone())
            .lease(Duration::from_millis(600))
            .poll_interval(Duration::from_millis(50))
            .backoff(quick)
            .refusal_backoff(quick);
        let relay = settings(relay);
        let shutdown = CancellationToken::new();
        Self {
            relay: relay.handle(),
            task: tokio::spawn(relay.run_until(shutdown.clone().cancelled_owned())),
            shutdown,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    /// As a process that is killed: it gives up and records nothing.
    async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
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

async fn until_empty<F: Fixture>(f: &F) {
    until("the outbox is empty", async || f.rows().await == (0, 0)).await;
}
