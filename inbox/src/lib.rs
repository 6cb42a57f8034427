//! Inbox: the effect of a message happens once, in order per key.
//!
//! Brokers deliver at least once: after a crash, a rebalance or a lost answer the same message comes again, and a service that
//! simply handles it charges the card twice. Here a *mark* is written in the transaction that makes the effect, so that both are
//! there or neither; a [`Worker`] reads the broker, runs handlers in such transactions, and commits offsets behind them.
//!
//! # What is guaranteed
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | The effect of a message on a consumer is made once, however often it is delivered. | Mark and effect commit together; identity is (consumer, source, message id), never a hash. |
//! | No message is lost: every one is handled, a duplicate, of a kind that has no handler, or stops its key visibly. | An offset is committed only when everything below it is finished, after the transaction that made the effect. |
//! | Messages of one key run one at a time and in order, through failures and retries; other keys flow. | One lane per key; what failed goes back to the head of its lane. |
//! | A message that fails takes nobody with it. | Its batch is rolled back, and it runs alone from then on. |
//! | What cannot be read (no message, unknown version, bytes that do not decode) stops only its key, and stays in the log as it is. | It is never acknowledged by [`BlockKey`]. |
//! | Order and once hold across changes of owner. | Whoever commits late, a zombie or its successor, meets the other's mark. |
//! | A slow handler never costs the membership. | A task of its own polls the broker; partitions pause at a bound in messages and bytes. |
//! | A mark is kept while its message can come again, and for a window after its offset was committed. | Checkpoints of committed offsets; see [`Retention`]. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | Once, for effects outside the transaction (a mail, a call to another service). | Give them the message id as idempotency key. |
//! | Once, for a message that is read again later than the retention window, counted by the store's clock. | Set the window above the broker's retention. |
//! | An order among messages without key, or of different keys. | Give them a key. |
//!
//! # Quickstart
//!
//! ```
//! use std::sync::Arc;
//! use mainstay_clock::{SystemClock, SystemIds};
//! use mainstay_database::{Transactions, memory::{Connection, Database, Inserted, Record}};
//! use mainstay_inbox::{HandlerError, Handlers, Received, Worker, memory::MemoryInbox};
//! use mainstay_messaging::{
//!     Group, Kind, Message, Publisher, Source, StartAt, Topic, event::{Event, encode}, memory,
//! };
//! use serde::{Deserialize, Serialize};
//! use tokio_util::sync::CancellationToken;
//!
//! #[derive(Serialize, Deserialize)]
//! struct OrderPlaced { order: String, cents: u64 }
//!
//! impl Event for OrderPlaced {
//!     const KIND: &'static str = "OrderPlaced";
//!     const VERSION: u32 = 1;
//! }
//!
//! #[derive(Clone)]
//! struct Invoice { order: String, cents: u64 }
//!
//! impl Record for Invoice {
//!     const TABLE: &'static str = "invoice";
//!     type Key = String;
//!     fn key(&self) -> String { self.order.clone() }
//! }
//!
//! /// Everything written through `connection` commits together with the mark, or not at all.
//! async fn bill(
//!     _state: (), connection: &mut Connection, received: Received<OrderPlaced>,
//! ) -> Result<(), HandlerError> {
//!     let OrderPlaced { order, cents } = received.event;
//!     let inserted = connection.statement().await?.insert(Invoice { order, cents }).await?;
//!     assert_eq!(inserted, Inserted::New);
//!     Ok(())
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let topic = Topic::from_static("orders");
//! let broker = memory::Broker::new(memory::Options::default());
//! broker.create_topic(&topic, 4).await?;
//! # let mut message = Message::new(
//! #     Source::from_static("/order"), topic.clone(), Kind::from_static("OrderPlaced"), "", &SystemClock::new(), &SystemIds::new(),
//! # );
//! # encode(&OrderPlaced { order: "17".to_owned(), cents: 500 }, &mut message)?;
//! // The same message twice, as a producer sends it that lost an answer.
//! for answer in broker.publisher().publish(&[message.clone(), message]).await {
//!     assert!(answer.is_acknowledged());
//! }
//!
//! let database = Database::new();
//! let group = Group::from_static("billing");
//! let consumer = broker.consumer(group.clone(), &[topic], StartAt::Earliest);
//! let shutdown = CancellationToken::new();
//! let stop = shutdown.clone();
//! let worker = Worker::new(
//!     group,
//!     Arc::new(database.clone()),
//!     Arc::new(MemoryInbox::new(database.clone())),
//!     Handlers::new().on::<OrderPlaced, _, _>((), bill),
//! )
//! .on_commit(Arc::new(move || stop.cancel())); // a service rings its outbox here
//! worker.run(consumer, shutdown).await?;
//!
//! let mut tx = database.begin().await?;
//! assert_eq!(tx.statement().await?.scan::<Invoice>(..).len(), 1);
//! # Ok::<_, Box<dyn std::error::Error>>(()) }).map_err(|error| error.to_string())?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! Without the worker: call [`Inbox::admit`] in a transaction of your own, and make the effect only if it says
//! [`Fresh`](Admission::Fresh).
//!
//! # How it works
//!
//! Deliveries go into *lanes*, one per partition and key; a message without key has a lane of its own. A batch takes messages of
//! lanes that are free, admits them all in one statement, runs the handlers of the fresh ones in order, and commits: one
//! transaction, one sync of the disk. While it runs nothing else of those lanes starts. [`Worker::concurrency`] says how many
//! such transactions run at once.
//!
//! If a handler fails (an error, a panic, its deadline), the transaction is rolled back and every message returns to the head of its
//! lane. The culprit runs alone from then on, with backoff; the others go on at once. A batch handler that does not
//! [name](HandlerError::at) the culprit has its batch halved until it is found. What the database interrupts is tried
//! again without counting as an attempt; when the answer to a commit was lost, the marks decide. A batch that could not have a mark
//! because another transaction holds it goes on message by message, so that only that message waits; a handler that could not have a
//! lock is set apart; a batch whose connection was lost is tried in halves.
//!
//! When the attempts are exhausted, or the failure is permanent, [`FailurePolicy`] decides. [`BlockKey`], the default, stores nothing: the
//! message stays in the broker's log, its offset uncommitted, its key stopped, and [`Status::stopped`] lists it.
//!
//! Of each partition the worker knows the *span* from the lowest unfinished record to the newest one. Everything below it may be
//! committed, and is, at most every [`Worker::commit_interval`]. At its bound the partition pauses; what was fetched by then comes on top.
//!
//! When a partition is asked back, nothing new starts there; what is in flight may end until shortly before the deadline, then it is
//! abandoned; then offsets are committed and the partition is given back. Shutdown does the same with all of them.
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The process dies at any moment. | What was not committed comes again, and is done once. |
//! | The answer to a commit is lost. | The batch is tried again; if it was applied after all, its messages are duplicates. |
//! | A worker stands still past its lease, and wakes up in the middle of a handler. | Its transaction and its successor's meet at the mark: one makes the effect. |
//! | The database or the broker does not answer. | The worker waits with backoff, [`Status::last_error`] says so, no attempt is counted. |
//! | A process stops in the middle of a transaction (PostgreSQL). | The server ends it after `idle_in_transaction_timeout`, and its messages are done elsewhere. A [deadline](Worker::handler_deadline) beyond that is refused. |
//! | A handler keeps an SQL error to itself (PostgreSQL). | The transaction is rolled back; the handler has failed. |
//! | A handler fails for good. | Its key stops; other keys flow until the span reaches its bound, then the partition pauses. |
//! | The database refuses what only a person can mend: a privilege, credentials. | The worker does not end: messages stay where they are, [`Status::last_error`] says why and no message is blamed. It goes on when it may. |
//! | A handler blocks its thread. | Its deadline cannot end it; a shutdown leaves it behind after twice [`Worker::drain`]. |
//! | A key stays stopped longer than the broker keeps its log. | The group's offset falls out of the log, and the consumer ends with an error. Alarm on `mainstay_inbox_blocked_keys`. |
//!
//! # Schema
//!
//! `inbox_processed` (one row per message and consumer), `inbox_redeliveries` (where else such a message was read, if it was),
//! `inbox_progress` (checkpoints), and `inbox_schema` for the version; under a prefix of your choice, and on PostgreSQL in a schema
//! of your choice. `postgres::roles` is the SQL that makes a role with the least that a worker needs there.
//!
//! On PostgreSQL a mark may be kept for up to two checkpoints (an eighth of the window) longer: numbers of marks are drawn before their
//! transactions end, so a checkpoint covers only those below which everything was decided. A transaction that has written marks
//! and stays open, or is prepared and forgotten, holds all forgetting up.
//!
//! # Metrics
//!
//! All carry the label `consumer`.
//!
//! | name | unit |
//! |---|---|
//! | `mainstay_inbox_messages` | messages, counter; `outcome` = `handled`, `duplicate`, `unregistered`, `parked` |
//! | `mainstay_inbox_failures` | failed attempts, counter; `cause` = `retryable`, `permanent`, `panicked`, `deadline`, `unreadable` |
//! | `mainstay_inbox_interruptions` | transactions that the database interrupted, counter |
//! | `mainstay_inbox_batch_messages` | messages per transaction, histogram |
//! | `mainstay_inbox_transaction_seconds` | seconds per transaction, histogram |
//! | `mainstay_inbox_in_flight_messages` | messages from the lowest unfinished ones on, gauge |
//! | `mainstay_inbox_blocked_keys` | keys, gauge |
//! | `mainstay_inbox_processed_pruned` | marks, counter |
//!
//! Each call of a handler runs in a span `process` with OpenTelemetry's messaging attributes and the message's `traceparent`.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `memory` (default) | marks in the in-memory database, for tests and simulations |
//! | `sqlite` | marks in a SQLite file |
//! | `postgres` | marks in a PostgreSQL database |
//! | `conformance` | the contract as public tests, for stores of your own |

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod answers;
mod error;
mod failure;
mod handlers;
mod identity;
mod inbox;
mod retention;
mod status;
mod worker;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use error::Error;
pub use failure::{BlockKey, Failure, FailureKind, FailureOutcome, FailurePolicy};
pub use handlers::{BatchFn, HandlerError, HandlerFn, Handlers, Received};
pub use identity::Identity;
pub use inbox::{Admission, Inbox};
pub use retention::{Pruned, Retention};
pub use status::{BlockedKey, PartitionStatus, Status};
pub use worker::Worker;
