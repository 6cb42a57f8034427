//! A crash at every point of an enqueue and of a relay's rounds, and what is there when another process goes on.
#![expect(
    clippy::print_stdout,
    reason = "how much was tried belongs to the result"
)]
#![expect(clippy::future_not_send, reason = "they are awaited in tests")]

mod broker;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod calls;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod relaying;
mod rounds;
#[cfg(feature = "sqlite")]
mod sqlite;
mod writing;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::Backoff;
use mainstay_database::Transactions;
use mainstay_messaging::{Key, Kind, Message, MessageId, Source, Topic};
use mainstay_outbox::{Error, Outbox, Relay, RelayStore};
use mainstay_ports::Ports;
use mainstay_testkit::{check, crash::Points};
use tokio_util::sync::CancellationToken;

use broker::Broker;
use rounds::Rounds;

/// The relay of a shop.
type Struck<S> = Relay<Rounds<Ports<Arc<S>>>, Ports<Arc<Broker>>>;

type Connection<S> = <<S as Shop>::Database as Transactions>::Connection;

/// A database with an outbox, and what a crash leaves in it.
#[async_trait]
trait Shop: Send + Sync {
    type Database: Transactions;
    type Store: Outbox<Connection = <Self::Database as Transactions>::Connection> + RelayStore;

    /// As a process has it that has just started.
    async fn open(&self) -> (Arc<Self::Database>, Arc<Self::Store>);

    /// Writes a row of the shop's own, unless it is there; says whether it was new.
    async fn enter(
        connection: &mut Connection<Self>,
        entry: &str,
    ) -> Result<bool, mainstay_database::Error>;

    /// Whether that row is committed.
    async fn has(&self, entry: &str) -> bool;

    /// Rows of the log and of the side table.
    async fn rows(&self) -> usize;

    /// How long a relay that died keeps its shards.
    const LEASE: Duration;

    /// Waits until what a dead process had under way has ended, and until its lease has.
    async fn outlive(&self);

    /// A relay's clock.
    fn timed(&self, relay: Struck<Self::Store>) -> Struck<Self::Store> {
        relay
    }
}

/// The message `key-number`.
fn message(key: &str, number: usize) -> Message {
    let mut message = Message::with_id(
        MessageId::new(format!("{key}-{number}")).unwrap(),
        Source::from_static("/crash"),
        Topic::from_static("orders"),
        Kind::from_static("Counted"),
    );
    message.payload = Some(number.to_string().into());
    message.with_key(Key::new(key).unwrap())
}

/// Relays until there is nothing left to do, or until it is struck.
async fn relay<S: Shop>(shop: &S, points: &Arc<Points>, broker: &Arc<Broker>) -> Result<(), Error> {
    let quiet = CancellationToken::new();
    let (_, store) = shop.open().await;
    let store = Rounds::new(Ports::new(store, points), quiet.clone());
    let quick = Backoff::new(Duration::from_millis(5), Duration::from_millis(20));
    let relay = Relay::new(
        Arc::new(store),
        Arc::new(Ports::new(Arc::clone(broker), points)),
    )
    .lease(S::LEASE)
    .batch(2, 1 << 20)
    .outage_backoff(quick)
    .refusal_backoff(quick);
    shop.timed(relay).run(quiet).await
}

/// What another relay does who finds all this.
async fn relay_what_is_left<S: Shop>(shop: &S, broker: &Arc<Broker>) {
    let points = Points::none();
    let relaying = relay(shop, &points, broker);
    let ended = tokio::time::timeout(Duration::from_secs(60), relaying).await;
    assert!(ended.is_ok(), "the outbox never became quiet");
    ended.unwrap().unwrap();
    assert_eq!(shop.rows().await, 0, "quiet, and not empty");
}

/// Judges what a broker has seen of what was committed; nothing is left.
fn judge(broker: &Broker, committed: &[Message]) {
    let violations = check::violations(&broker.history(committed));
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}
