//! Dead letter queues that keep the order of each key.
//!
//! A poison message, which no handler can process, blocks its key. A usual dead letter queue puts it
//! aside, and later messages of its key overtake it. This crate keeps the message *and* the order:
//! later messages of its key are *held* behind it, other keys go on, and the offset advances. A
//! replay continues where the key stopped.
//!
//! **The guarantee:** no message is dropped unless an operator discards it; after a replay the
//! handler has seen the messages of the key in their original order, and each effect is applied
//! once.
//!
//! # Quickstart
//!
//! ```
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")] mod example {
//! # use mainstay_dlq::messaging::{Event, Message, Publisher, sqlite::Broker};
//! # use mainstay_dlq::{database::sqlite::Database, inbox::{HandlerError, Received}, sqlx};
//! # #[derive(serde::Serialize, serde::Deserialize)] struct OrderPlaced { cents: i64 }
//! # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
//! # async fn bill(_: &mut sqlx::SqliteConnection, order: Received<OrderPlaced>) -> Result<(), HandlerError> {
//! #     if order.event.cents < 0 { return Err(HandlerError::permanent("a negative amount")); }
//! #     Ok(())
//! # }
//! use mainstay_dlq::{DeadLetterQueue, Query, Signature, inbox::{Handlers, SqliteInbox}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let db = Database::open(directory.path().join("billing.db")).await?;
//! # let broker = Broker::open(directory.path().join("log.db")).await?;
//! # broker.create_topic("orders", 1).await?;
//! # let message = Message::builder().source("/orders").event(&OrderPlaced { cents: -1 }).key("ada").build()?;
//! # for outcome in broker.publisher().publish(&[message]).await { assert!(outcome.is_acknowledged()); }
//! let inbox = SqliteInbox::builder(&db).open().await?;
//! let queue = DeadLetterQueue::builder(inbox).open().await?;
//! let handlers = Handlers::new().on(bill); // async fn bill(tx: &mut SqliteConnection, …)
//! let consumer = broker.consumer("billing").subscribe(["orders"]).await?;
//! let worker = queue.worker(consumer).handlers(handlers.clone()).spawn();
//! let replayer = queue.replayer("billing", handlers)?.spawn();
//!
//! // An operator, in any process that reaches the database:
//! let desk = queue.desk();
//! # while desk.count(&Query::dead()).await? == 0 { tokio::time::sleep(std::time::Duration::from_millis(5)).await; }
//! for letter in desk.list(&Query::dead(), None, 50).await?.items {
//!     desk.replay(letter.id, &Signature::new("ada", "fixed in 1.4.2")).await?;
//! }
//! # worker.shutdown().await?;
//! # replayer.shutdown().await?;
//! # Ok(())
//! # } }
//! # #[cfg(feature = "sqlite")] fn main() { example::main().unwrap() }
//! ```
//!
//! On PostgreSQL only the inbox differs: `PostgresInbox::builder(&pool)`.
//!
//! # What is guaranteed
//!
//! | guaranteed | because |
//! |---|---|
//! | A message that cannot be handled is kept, byte for byte, before its offset may be committed. | Processed record, body and blocked key are one transaction; if it fails, nothing is acknowledged. |
//! | Later messages of its key are held behind it, in order. Other keys go on, and the offset advances. | Admission inserts processed records first, then looks at blocked keys in a second statement. |
//! | After a replay the handler has seen the key's messages in their original order. | Only the lowest message is replayed; the key drains message by message before the worker has it again. |
//! | Each effect is applied once, however many replayers and operators there are, and however old the message is. | Effect and state commit together, under the lock of the message. |
//! | Replays and jobs continue after a crash. | Due times, draining keys and cursors of jobs are in the tables, and the replayer reads them at each poll. |
//! | An outage of the database or of a dependency counts no attempt and keeps nothing. | [`HandlerError::unavailable`](inbox::HandlerError::unavailable), and retryable database errors. |
//! | Every act of an operator is recorded: who, when, why. | The record is in the transaction of the act. |
//! | A discarded message can be restored until its [retention](Replayer::retention) ends. | Discarding is a state; kept messages are never pruned. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | The order of a message that was discarded and restored. | Restore before later messages of its key are handled, or discard nothing that matters. |
//! | At most one effect outside the transaction, a dry run included. | Pass the message id as idempotency key. |
//! | That a handler sees a key's messages in order if it has a [`DeadLetterTopic`]. | Use a [`DeadLetterQueue`]. |
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The process dies in the middle of a replay. | The transaction is rolled back; any replayer goes on. |
//! | A replayed message fails again. | It is the dead letter again, with its attempts and failures; its key is blocked. |
//! | A held message fails during a drain. | It is the next dead letter; the others stay behind it. |
//! | A handler takes longer than the [deadline](Replayer::handler_deadline). | The attempt has failed. A deadline beyond the database's limit for idle transactions is refused. |
//! | The transaction of admission is REPEATABLE READ or SERIALIZABLE. | [`Error::Isolation`]: a message could pass the dead letter of its key. |
//! | A body or its headers cannot be decoded. | They are kept as they are; lists never read bodies. |
//! | No replayer runs. | Messages are kept and held, and nothing is replayed. Alert on `mainstay_dlq_dead_letters`. |
//! | Two operators edit one message. | One wins, the other gets [`Error::Revised`]. |
//!
//! # Limits
//!
//! | limit | value |
//! |---|---|
//! | counts of groups, queries and gauges | 10,000; then "more" |
//! | a page of a list | 1,000 |
//! | replayed and discarded messages are kept | 30 days ([`Replayer::retention`]) |
//! | an error text | 8 KiB; the rest is cut |
//! | SQLite | a replay holds the file's only writer for a handler's length |
//!
//! # Schema
//!
//! | table | rows |
//! |---|---|
//! | `dlq_messages` | dead letters and held messages, and what became of them |
//! | `dlq_bodies` | headers and payload of each revision |
//! | `dlq_blocked_keys` | keys that are blocked or drain |
//! | `dlq_failures` | each failure of a message |
//! | `dlq_audit` | acts of operators; this crate never deletes from it |
//! | `dlq_jobs` | acts on many messages |
//! | `dlq_schema` | the schema's version |
//!
//! The builder's `namespace` puts them under a prefix, and on PostgreSQL into a schema.
//!
//! # Metrics
//!
//! All have the label `consumer`.
//!
//! | name | unit |
//! |---|---|
//! | `mainstay_dlq_dead_lettered` | messages, counter; `failure` is the name of the failure's kind |
//! | `mainstay_dlq_replays` | replays, counter; `outcome` = `replayed`, `failed` |
//! | `mainstay_dlq_dead_letters` | dead letters, gauge |
//! | `mainstay_dlq_held_messages` | held messages, gauge |
//! | `mainstay_dlq_blocked_keys` | blocked keys, gauge |
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `memory` (default) | a queue in the in-memory database, for tests and simulations |
//! | `sqlite` | a queue in a SQLite file, beside a `SqliteInbox` |
//! | `postgres` | a queue in a PostgreSQL database, beside a `PostgresInbox` |
//! | `http` | the desk as an axum router |
//! | `conformance` | the contract of a store as public tests |
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod desk;
mod error;
mod fault;
mod letter;
mod queue;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod record;
mod replayer;
pub mod store;
mod topic;

#[cfg(feature = "http")]
pub mod http;
#[cfg(all(doctest, feature = "sqlite"))]
mod readme;

#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use desk::{Desk, Query, Signature};
pub use error::Error;
pub use letter::{BlockedKey, DeadLetter, DeadLetterId, State, UnknownState};
pub use queue::{DeadLetterQueue, DeadLetterQueueBuilder, StoreOf};
pub use replayer::{DryRun, Replayer, ReplayerHandle, Status};
pub use topic::DeadLetterTopic;

pub use mainstay_clock as clock;
pub use mainstay_database as database;
pub use mainstay_inbox as inbox;
pub use mainstay_messaging as messaging;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;
