//! The contract of [`Outbox`] and [`RelayStore`], and what a [`Relay`] makes of it, as tests that any store can run.
//!
//! Implement [`Fixture`] and write `mainstay_outbox::conformance!(fixture());` in a test module: one named test per
//! case, each named after the guarantee it shows. The cases wait on conditions.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::future_not_send,
    reason = "a test suite"
)]
#![expect(missing_docs, reason = "the cases are named after what they show")]

mod counted;
mod entries;
mod failures;
mod ownership;
mod promises;
mod rounds;
mod tape;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::Backoff;
use mainstay_database::Transactions;
use mainstay_messaging::{Key, Kind, Message, MessageId, Source, Topic};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Error, Limit, Outbox, Relay, RelayStore};

pub use entries::*;
pub use failures::*;
pub use ownership::*;
pub use promises::*;
pub use rounds::*;
pub use tape::Tape;

const LEASE: Duration = Duration::from_secs(60);
const ALL: Limit = Limit {
    messages: 1_000,
    bytes: usize::MAX,
};

/// What a store brings to the suite.
#[async_trait]
pub trait Fixture: Send + Sync {
    type Database: Transactions;
    type Store: Outbox<Connection = <Self::Database as Transactions>::Connection> + RelayStore;

    fn database(&self) -> &Self::Database;

    /// Four shards, messages of at most 10,000 bytes.
    fn store(&self) -> Arc<Self::Store>;

    /// Another handle on the same tables with a doorbell of its own, as another process has.
    async fn other_process(&self) -> Arc<Self::Store>;

    /// What opening the same tables with five shards answers.
    async fn open_with_five_shards(&self) -> Result<(), Error>;

    /// Damages the stored message with this id so that it cannot be read.
    async fn damage(&self, id: &str);

    /// Rows of the log and of the side table.
    async fn rows(&self) -> (usize, usize);
}

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
            a_message_is_published_if_and_only_if_its_transaction_committed
            a_quiet_run_publishes_everything_exactly_once
            messages_of_a_key_keep_the_order_of_their_enqueues
            a_batch_keeps_the_order_of_its_slice
            a_former_owner_writes_nothing
            an_owner_never_sends_again_what_it_recorded
            a_dead_relay_is_replaced_when_its_lease_ends
            shards_are_divided_among_relays_and_given_up_at_shutdown
            a_refused_message_stops_its_key_and_no_other
            a_stopped_key_goes_on_in_order_when_its_head_is_taken
            two_refusals_of_a_key_in_one_round_keep_its_order
            a_stopped_key_is_served_when_its_head_is_due
            an_unreadable_row_stops_its_key_and_is_kept
            an_outage_burns_no_attempts_and_the_backlog_drains_in_order
            a_lost_acknowledgement_is_sent_again_and_loses_no_order
            a_send_never_outlives_its_lease
            a_delayed_message_waits_and_stops_nobody
            an_endless_delay_is_never_due
            a_delayed_message_of_a_stopped_key_joins_its_end
            an_enqueue_key_is_used_once_and_aborts_nothing
            an_oversize_message_is_refused_in_its_transaction
            a_ring_is_heard_at_once
            a_commit_without_a_ring_is_found_soon
            rows_of_another_process_are_found_by_the_slow_poll
            shutdown_finishes_the_round_in_flight
            a_batch_is_bounded_in_messages_and_in_bytes
            another_number_of_shards_is_refused
            status_tells_what_is_stopped
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

fn topic() -> Topic {
    Topic::from_static("orders")
}

/// The message `key-number`.
fn message(key: &str, number: usize) -> Message {
    let mut message = Message::with_id(
        MessageId::new(format!("{key}-{number}")).unwrap(),
        Source::from_static("/suite"),
        topic(),
        Kind::from_static("Counted"),
    );
    message.payload = Some(number.to_string().into());
    message.with_key(Key::new(key).unwrap())
}

fn ids(key: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{key}-{number}")).collect()
}

/// One transaction that enqueues `messages`, committed and not rung.
async fn commit<F: Fixture>(f: &F, messages: &[Message]) {
    let mut tx = f.database().begin().await.unwrap();
    for message in messages {
        f.store().enqueue(&mut tx, message).await.unwrap();
    }
    f.database().commit(tx).await.unwrap();
}

/// A relay that runs until it is stopped or crashed.
struct Running<S: RelayStore> {
    relay: Arc<Relay<S, Tape>>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl<S: RelayStore> Running<S> {
    fn start(store: Arc<S>, tape: &Arc<Tape>) -> Self {
        Self::start_as(store, tape, |relay| relay)
    }

    fn start_as(
        store: Arc<S>,
        tape: &Arc<Tape>,
        settings: impl FnOnce(Relay<S, Tape>) -> Relay<S, Tape>,
    ) -> Self {
        let quick = Backoff::new(Duration::from_millis(5), Duration::from_millis(20));
        let relay = Relay::new(store, Arc::clone(tape))
            .lease(Duration::from_millis(600))
            .slow_poll(Duration::from_millis(50))
            .outage_backoff(quick)
            .refusal_backoff(quick);
        let relay = Arc::new(settings(relay));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let (relay, shutdown) = (Arc::clone(&relay), shutdown.clone());
            async move { relay.run(shutdown).await }
        });
        Self {
            relay,
            shutdown,
            task,
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

    /// As a killed process does: no release, nothing more is written.
    async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Looks again until `condition` holds.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let came_true = tokio::time::timeout(PATIENCE, looking).await.is_ok();
    assert!(came_true, "never came true: {what}");
}

async fn until_empty<F: Fixture>(f: &F) {
    until("the outbox is empty", async || f.rows().await == (0, 0)).await;
}
