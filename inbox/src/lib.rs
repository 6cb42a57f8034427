//! Idempotent consumers: each handler's database effect is applied once, in order per key.
//!
//! Brokers deliver at least once. After a crash, a rebalance or a lost answer the same message
//! comes again, and a service that simply handles it charges the card twice. This crate does the
//! deduplication: it inserts a *processed record* for each message, in the transaction that makes
//! the handler's effect.
//!
//! **The guarantee:** each handler's database effect is applied once, in order per key, even if a
//! process is killed mid-way. No message is lost. One whose kind has no handler is acknowledged
//! without effect, unless [`Worker::block_unknown_kinds`] keeps it.
//!
//! # Quickstart
//!
//! ```standalone_crate
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")] mod example {
//! use mainstay_inbox::{HandlerError, Received, SqliteInbox, Worker};
//! use mainstay_inbox::{database::sqlite::Database, messaging::{Event, sqlite::Broker}, sqlx};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct OrderPlaced { id: String, cents: i64 }
//!
//! impl Event for OrderPlaced {
//!     const TOPIC: &'static str = "orders";
//!     const KIND: &'static str = "OrderPlaced";
//! }
//!
//! /// Everything written through `tx` commits together with the processed record, or not at all.
//! async fn bill(tx: &mut sqlx::SqliteConnection, order: Received<OrderPlaced>) -> Result<(), HandlerError> {
//!     sqlx::query("INSERT INTO invoices (order_id, cents) VALUES ($1, $2)")
//!         .bind(order.event.id).bind(order.event.cents).execute(tx).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use mainstay_inbox::messaging::{Message, Publisher};
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//! let broker = Broker::open("log.db").await?;
//! broker.create_topic("orders", 4).await?; // one that exists stays as it is
//! let db = Database::open("billing.db").await?; // with a table `invoices`
//! # let mut tx = db.begin().await?;
//! # sqlx::query("CREATE TABLE invoices (order_id TEXT, cents INTEGER)").execute(&mut *tx).await?;
//! # db.commit(tx).await?;
//! # let reader = db.reader().clone();
//! # let shutdown = async move {
//! #     let billed = || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM invoices").fetch_one(&reader);
//! #     while billed().await.is_ok_and(|invoices| invoices == 0) {
//! #         tokio::time::sleep(std::time::Duration::from_millis(5)).await;
//! #     }
//! # };
//! let inbox = SqliteInbox::builder(&db).open().await?;
//! # let placed = OrderPlaced { id: "17".to_owned(), cents: 500 };
//! # let message = Message::builder().source("/orders").event(&placed).build()?;
//! # broker.publisher().publish(&[message]).await;
//! let consumer = broker.consumer("billing").subscribe(["orders"]).await?;
//! Worker::new(inbox, consumer).on(bill).run_until(shutdown).await?; // a future, such as Ctrl-C
//! # Ok(()) } }
//! # #[cfg(feature = "sqlite")] fn main() { example::main().unwrap() }
//! ```
//!
//! The same on a `PgPool` that exists:
//!
//! ```no_run
//! # #[cfg(feature = "postgres")] mod example {
//! # use mainstay_inbox::{messaging::{Consumer, Event}, sqlx};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)]
//! # struct OrderPlaced { id: String, cents: i64 }
//! # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
//! use mainstay_inbox::{HandlerError, PostgresInbox, Received, Worker};
//! use sqlx::{PgConnection, PgPool};
//!
//! async fn consume(
//!     pool: PgPool, consumer: impl Consumer, shutdown: impl Future<Output = ()> + Send,
//! ) -> Result<(), mainstay_inbox::Error> {
//!     let inbox = PostgresInbox::builder(&pool).open().await?;
//!     Worker::new(inbox, consumer).on(bill).run_until(shutdown).await
//! }
//!
//! async fn bill(tx: &mut PgConnection, order: Received<OrderPlaced>) -> Result<(), HandlerError> {
//!     sqlx::query("INSERT INTO invoices (order_id, cents) VALUES ($1, $2)")
//!         .bind(order.event.id).bind(order.event.cents).execute(tx).await?;
//!     Ok(())
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! # Errors of a handler
//!
//! `?` works on every error. The worker rolls back what the handler wrote, and then:
//!
//! | the handler returns | the worker | attempt counted |
//! |---|---|---|
//! | a database error that heals by itself: deadlock, serialization failure, lost connection | tries again, as long as it takes | no |
//! | any other error: violated constraint, damaged row, error of the domain | tries again, by default five times in about a second; then the [`FailurePolicy`](failure::FailurePolicy) decides | yes |
//! | [`HandlerError::permanent`] | asks the failure policy at once | yes |
//! | [`HandlerError::unavailable`]: a service that the handler calls is away | tries again, as long as it takes | no |
//!
//! The default policy, [`BlockKey`], stores nothing: the key of the message waits, is listed in
//! [`Status::blocked_keys`], and is tried again every 30 s unless the failure is permanent. With
//! `mainstay-dlq`, a dead letter queue, the message is put aside, the later messages of its key are
//! held behind it in order, and the offset advances.
//!
//! # State, status, shutdown
//!
//! Anything else that a handler needs is its state, which the worker is given once. A service that
//! does more than consume [spawns](Worker::spawn) its worker. [`Status`] serialises for a health
//! endpoint:
//!
//! ```no_run
//! # #[cfg(feature = "postgres")] mod example {
//! # use mainstay_inbox::{HandlerError, PostgresInbox, Received, Worker, messaging::{Consumer, Event}, sqlx::PgConnection};
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct OrderPlaced;
//! # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
//! #[derive(Clone)]
//! struct Shop { name: String }
//!
//! async fn bill(
//!     tx: &mut PgConnection, order: Received<OrderPlaced>, shop: Shop,
//! ) -> Result<(), HandlerError> {
//!     // …
//! #   let _ = (tx, order, shop.name);
//!     Ok(())
//! }
//!
//! # async fn serve(inbox: PostgresInbox, consumer: impl Consumer, shop: Shop) -> Result<(), Box<dyn std::error::Error>> {
//! let worker = Worker::new(inbox, consumer).with_state(shop).on(bill).spawn();
//! let health = serde_json::to_string(&worker.status())?; // in an HTTP handler
//! worker.shutdown().await?; // at the end of the process
//! # Ok(()) }
//! # }
//! # fn main() {}
//! ```
//!
//! # Test a handler without a server
//!
//! A handler is a function of a connection and an event. Call it:
//!
//! ```
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")] mod example {
//! # use mainstay_inbox::{HandlerError, Received, messaging::Event, sqlx::{self, Connection as _, SqliteConnection}};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)]
//! # struct OrderPlaced { id: String, cents: i64 }
//! # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
//! # async fn bill(tx: &mut SqliteConnection, order: Received<OrderPlaced>) -> Result<(), HandlerError> {
//! #     sqlx::query("INSERT INTO invoices (order_id, cents) VALUES ($1, $2)")
//! #         .bind(order.event.id).bind(order.event.cents)
//! #         .execute(tx).await?;
//! #     Ok(())
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut tx = SqliteConnection::connect("sqlite::memory:").await?;
//! sqlx::raw_sql("CREATE TABLE invoices (order_id TEXT, cents INTEGER)").execute(&mut tx).await?;
//!
//! bill(&mut tx, Received::of(OrderPlaced { id: "17".to_owned(), cents: 500 })).await?;
//!
//! let cents: i64 = sqlx::query_scalar("SELECT cents FROM invoices").fetch_one(&mut tx).await?;
//! assert_eq!(cents, 500);
//! # Ok(()) } }
//! # #[cfg(feature = "sqlite")] fn main() { example::main().unwrap() }
//! ```
//!
//! | the handler takes | what its tests need |
//! |---|---|
//! | `&mut SqliteConnection` | `sqlite::memory:`, as above |
//! | `&mut memory::Connection` (feature `memory`) | `Database::new()`; the crate mainstay-simulation can crash and interrupt it |
//! | `&mut PgConnection` | A server, since the SQL is PostgreSQL's: call the handler in `pool.begin()` and roll back. Or no server: put the SQL behind a trait of yours with a connection type, and give the implementation as state. A test gives another one, whose connection is `()`. |
//!
//! The trait of the last row. In the service, `Worker::new(inbox, consumer).with_state(InPostgres)`
//! precedes `.on(bill)`:
//!
//! ```
//! # #[cfg(not(feature = "postgres"))] fn main() {}
//! # #[cfg(feature = "postgres")] mod example {
//! # use std::sync::{Arc, Mutex};
//! # use mainstay_inbox::{HandlerError, PostgresInbox, Received, Worker, messaging::{Consumer, Event}, sqlx::{self, PgConnection}};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)]
//! # struct OrderPlaced { id: String, cents: i64 }
//! # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
//! /// The SQL of the handler.
//! trait Invoices: Clone + Send + Sync + 'static {
//!     type Connection: Send;
//!     fn add(&self, tx: &mut Self::Connection, order: &OrderPlaced)
//!     -> impl Future<Output = Result<(), HandlerError>> + Send;
//! }
//!
//! async fn bill<I: Invoices>(
//!     tx: &mut I::Connection, order: Received<OrderPlaced>, invoices: I,
//! ) -> Result<(), HandlerError> {
//!     if order.event.cents < 0 {
//!         return Err(HandlerError::permanent("a negative amount cannot be billed"));
//!     }
//!     invoices.add(tx, &order.event).await
//! }
//!
//! #[derive(Clone)]
//! struct InPostgres;
//!
//! impl Invoices for InPostgres {
//!     type Connection = PgConnection;
//!     async fn add(&self, tx: &mut PgConnection, order: &OrderPlaced) -> Result<(), HandlerError> {
//!         sqlx::query("INSERT INTO invoices (order_id, cents) VALUES ($1, $2)")
//!             .bind(&order.id).bind(order.cents).execute(tx).await?;
//!         Ok(())
//!     }
//! }
//! # fn worker(inbox: PostgresInbox, consumer: impl Consumer) {
//! #     let _ = Worker::new(inbox, consumer).with_state(InPostgres).on(bill);
//! # }
//!
//! // In a test:
//! #[derive(Clone, Default)]
//! struct InMemory(Arc<Mutex<Vec<i64>>>);
//!
//! impl Invoices for InMemory {
//!     type Connection = ();
//!     async fn add(&self, (): &mut (), order: &OrderPlaced) -> Result<(), HandlerError> {
//!         self.0.lock().unwrap().push(order.cents);
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let invoices = InMemory::default();
//! bill(&mut (), Received::of(OrderPlaced { id: "17".to_owned(), cents: 500 }), invoices.clone()).await?;
//! assert_eq!(*invoices.0.lock().unwrap(), [500]);
//! # Ok(()) } }
//! # #[cfg(feature = "postgres")] fn main() { example::main().unwrap() }
//! ```
//!
//! # A handler that emits events
//!
//! Its outbox comes as state too: `PostgresOutbox` in the service, `RecordingOutbox` of
//! mainstay-outbox in a test. Effect, processed record and event commit together. Open outbox and
//! inbox with the same [`Database`](database::Transactions) value, such as
//! `postgres::Database::from(pool)`. The worker's commits then wake the relay at once; otherwise it
//! finds the event by polling, within about 50 ms.
//!
//! [`Handlers::run`] runs the handler of a whole [`Delivery`](messaging::Delivery), decoding
//! included.
//!
//! # What is guaranteed
//!
//! | guaranteed | because |
//! |---|---|
//! | The effect of a message on a consumer is applied once, however often the message is delivered. | Processed record and effect commit together. The record's key is (consumer, source, message id), never a hash. |
//! | No message is lost: each one is handled, is a duplicate, blocks its key visibly, or has a [kind without handler](#new-kinds-of-events). | The worker commits an offset only when every message below it is finished. |
//! | Messages of one key run one at a time and in order, through failures and retries. Other keys go on, without head-of-line blocking, until the partition's in-flight window is full ([`Worker::max_in_flight`], 10,000 messages or 64 MiB). `mainstay-dlq` lifts this limit. | One lane per key; a failed message returns to the head of its lane. |
//! | A failing message does not fail the rest of its batch, and costs the others little. | Savepoints, set as often as messages fail: only the failing message and the few around it are undone. |
//! | A record that cannot be read (not a message, unknown version, does not decode) blocks only its key, and stays in the log. | [`BlockKey`] never acknowledges it. |
//! | Order and deduplication hold across a rebalance. | The unique processed record turns the later of two transactions into a duplicate. |
//! | A slow handler never costs the consumer its membership. | A separate task polls the broker. Partitions pause when their in-flight window is full (backpressure). |
//! | A processed record is kept while its message can come again, and for a window after its offset was committed. | Checkpoints of committed offsets; see [`Retention`](store::Retention). |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | At most one effect outside the transaction, such as a mail or a call to another service. | Pass the message id as idempotency key. |
//! | Deduplication of a message that comes again later than 7 days after its offset was committed. | Set [`Worker::retention`] above the broker's retention. |
//! | Order among messages without a key, or of different keys. | Give them a key. |
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The process dies. | Uncommitted messages are delivered again; each effect is applied once. |
//! | The answer to a commit is lost. | The worker tries the batch again. If the commit was applied, its messages are duplicates. |
//! | A worker is suspended past its lease, and goes on in the middle of a handler. | Its transaction and the new owner's conflict on the processed record: one makes the effect. |
//! | The database or the broker does not answer. | The worker waits with backoff, [`Status::last_error`] says why, no attempt is counted. |
//! | A process is suspended in the middle of a transaction (PostgreSQL). | The server ends it after `idle_in_transaction_timeout`, and another worker does its messages. A longer [handler deadline](Worker::handler_deadline) is refused. |
//! | A handler ignores an SQL error (PostgreSQL). | What it wrote is rolled back; the handler has failed. |
//! | A handler fails permanently, or in all attempts. | Its key is blocked. Other keys go on until the in-flight window is full; then the partition pauses. To let it go on, add `mainstay-dlq`. |
//! | The database refuses what an operator must mend: a privilege, credentials. | No attempt is counted. The worker goes on by itself once the operator has mended it; until then [`Status::last_error`] says why. |
//! | A handler blocks its thread. | Its deadline cannot end it. A shutdown stops waiting for it after twice [`Worker::drain_timeout`]. |
//! | A key stays blocked longer than the broker keeps its log. | The group's offset falls out of the log, and the consumer ends with an error. Alert on `mainstay_inbox_blocked_keys`. |
//!
//! [`guide`] explains how the worker does this.
//!
//! # New kinds of events
//!
//! A worker acknowledges messages of a kind that has no handler, so that the next event of another
//! team blocks nobody. It warns of each kind once and counts it in `mainstay_inbox_unknown_kinds`.
//! In a rolling deployment the old build may get a kind that only the new one handles. Then the
//! message is acknowledged without effect. Deploy in this order:
//!
//! 1. the new build of every consumer; wait until no old process runs;
//! 2. the producer that emits the new kind.
//!
//! Roll back in the opposite order. The same order serves a new version of a kind; there the wrong
//! order loses nothing, because a worker blocks the key of a message whose version it does not know.
//!
//! With [`Worker::block_unknown_kinds`], a wrong order only delays messages. The worker blocks the key
//! of a message whose kind it does not know, and leaves the message in the log. A build with a handler
//! handles it when it gets the partition.
//!
//! # Schema
//!
//! | table | rows |
//! |---|---|
//! | `inbox_processed` | one processed record per message and consumer |
//! | `inbox_redeliveries` | further positions of a processed message |
//! | `inbox_progress` | checkpoints of committed offsets |
//! | `inbox_schema` | the schema's version |
//!
//! The builder's `namespace` puts them under a prefix, and on PostgreSQL into a schema. `open`
//! migrates. A service that runs migrations itself takes `postgres::MIGRATIONS` or
//! `sqlite::MIGRATIONS` and calls `open_without_migrating`. `postgres::roles` is the SQL of a role
//! with the least privileges.
//!
//! # Metrics
//!
//! All have the label `consumer`.
//!
//! | name | unit |
//! |---|---|
//! | `mainstay_inbox_messages` | messages, counter; `outcome` = `handled`, `duplicate`, `held`, `dead_lettered`, `unregistered` |
//! | `mainstay_inbox_failures` | failed attempts, counter; `cause` = `retryable`, `permanent`, `panicked`, `deadline_exceeded`, `unreadable`, `unknown_kind` |
//! | `mainstay_inbox_unknown_kinds` | kinds without a handler that a worker has met, counter; `kind` |
//! | `mainstay_inbox_interruptions` | transactions that were interrupted, counter |
//! | `mainstay_inbox_batch_messages` | messages per transaction, histogram |
//! | `mainstay_inbox_transaction_seconds` | seconds per transaction, histogram |
//! | `mainstay_inbox_in_flight_messages` | messages in the in-flight windows, gauge |
//! | `mainstay_inbox_blocked_keys` | keys, gauge |
//! | `mainstay_inbox_processed_pruned` | processed records, counter |
//!
//! Each call of a handler runs in a span `process` with OpenTelemetry's messaging attributes and
//! the message's `traceparent`.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `memory` (default) | an inbox in the in-memory database, for tests and simulations; the broker in memory |
//! | `sqlite` | an inbox in a SQLite file, with sqlx 0.9; the broker in a SQLite file |
//! | `postgres` | an inbox in a PostgreSQL database, version 14 or newer, with sqlx 0.9 |
//! | `conformance` | the contract of a store as public tests, for stores of your own |
//!
//! [`database`], [`messaging`] and `sqlx` are re-exported, so one dependency line suffices. The
//! service chooses sqlx's runtime and TLS by features of its own line, such as `runtime-tokio`.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod answers;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod builder;
mod error;
mod handlers;
mod identity;
mod inbox;
#[cfg(all(doctest, feature = "sqlite", feature = "postgres"))]
mod readme;
mod retention;
mod worker;

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod failure;
pub mod guide;
pub mod handler;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod status;
pub mod store;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use builder::InboxBuilder;
pub use error::Error;
pub use failure::BlockKey;
pub use handlers::{HandlerError, Handlers, Received};
pub use inbox::{Admission, Inbox};
pub use status::Status;
pub use worker::{Worker, WorkerHandle};

#[cfg(feature = "memory")]
pub use memory::MemoryInbox;
#[cfg(feature = "postgres")]
pub use postgres::PostgresInbox;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteInbox;

pub use mainstay_clock as clock;
pub use mainstay_database as database;
pub use mainstay_messaging as messaging;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;
