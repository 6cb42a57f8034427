//! Event-sourced aggregates in the caller's transaction.
//!
//! A table of current states forgets how they came about, and a history kept beside it can disagree
//! with it. Event sourcing keeps what happened, and folds the events into the state that decisions
//! are made on. Two requests that decide on the same state must not both append: optimistic
//! concurrency refuses the later one.
//!
//! **Guarantee:** events are appended behind the version that was decided on, all of them or none, in
//! your transaction; a conflict is told before the commit.
//!
//! # Quickstart
//!
//! ```
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")] mod example {
//! use mainstay_eventstore::{Aggregate, Event, EventStore, Loaded, SqliteEventStore, events};
//! use mainstay_eventstore::database::sqlite::Database;
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)] struct OrderPlaced { cents: i64 }
//! # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
//! # #[derive(Serialize, Deserialize)] struct OrderPaid {}
//! # impl Event for OrderPaid { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPaid"; }
//!
//! events! { enum OrderEvent { OrderPlaced, OrderPaid } } // each an `Event`: kind, version, upcasters
//!
//! #[derive(Default)] struct Order { is_paid: bool }
//! impl Aggregate for Order {
//!     const STREAM: &'static str = "order";
//!     type Event = OrderEvent;
//!     fn apply(&mut self, event: &OrderEvent) {
//!         self.is_paid |= matches!(event, OrderEvent::OrderPaid(_));
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//! let db = Database::open("shop.db").await?;
//! let store = SqliteEventStore::builder(&db).open().await?; // creates its tables
//!
//! let mut tx = db.begin().await?;
//! let placed: Loaded<Order> = store.create(&mut tx, "17", [OrderPlaced { cents: 1250 }]).await?;
//! db.commit(tx).await?; // with your own rows, and what outbox.emit(&mut tx, …) wrote
//! # assert_eq!(placed.version(), 1);
//!
//! let mut tx = db.begin().await?;
//! let mut order: Loaded<Order> = store.load(&mut tx, "17").await?;
//! if !order.is_paid {
//!     store.append(&mut tx, "17", &mut order, [OrderPaid {}]).await?; // Error::Conflict: load and decide again
//! }
//! db.commit(tx).await?;
//! # let mut tx = db.begin().await?;
//! # let order: Loaded<Order> = store.load(&mut tx, "17").await?;
//! # assert!(order.is_paid && order.version() == 2);
//! # Ok(())
//! # } }
//! # #[cfg(feature = "sqlite")] fn main() { example::main().unwrap() }
//! ```
//!
//! The same on a `PgPool` that exists; the retry of a conflict is a loop of your own:
//!
//! ```no_run
//! # #[cfg(feature = "postgres")] mod example {
//! use mainstay_eventstore::{Error, EventStore, Loaded, PostgresEventStore, sqlx::PgPool};
//! # use mainstay_eventstore::{Aggregate, Event, events};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)] struct OrderPaid {}
//! # impl Event for OrderPaid { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPaid"; }
//! # events! { enum OrderEvent { OrderPaid } }
//! # #[derive(Default)] struct Order { is_paid: bool }
//! # impl Aggregate for Order {
//! #     const STREAM: &'static str = "order";
//! #     type Event = OrderEvent;
//! #     fn apply(&mut self, _: &OrderEvent) { self.is_paid = true }
//! # }
//!
//! async fn pay(pool: &PgPool, id: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let store = PostgresEventStore::builder(pool).open().await?; // once per process
//!     let mut tx = pool.begin().await?;
//!     loop {
//!         let mut order: Loaded<Order> = store.load(&mut tx, id).await?;
//!         if order.is_paid {
//!             break;
//!         }
//!         match store.append(&mut tx, id, &mut order, [OrderPaid {}]).await {
//!             Ok(()) => break,
//!             Err(Error::Conflict { .. }) => {} // another request was first: decide again
//!             Err(error) => return Err(error.into()),
//!         }
//!     }
//!     tx.commit().await?;
//!     Ok(())
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! [`create`](EventStore::create) appends the first events without loading,
//! [`history`](EventStore::history) reads what happened, with times. [`fold`] makes a state from
//! events in a test. With [`Snapshots`] a long stream is not read whole:
//!
//! ```
//! # use mainstay_eventstore::{Aggregate, Event, Snapshots, events};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)] struct OrderPaid {}
//! # impl Event for OrderPaid { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPaid"; }
//! # events! { enum OrderEvent { OrderPaid } }
//! # #[derive(Default, Serialize, Deserialize)] struct Order;
//! impl Aggregate for Order {
//!     const STREAM: &'static str = "order";
//!     const SNAPSHOTS: Option<Snapshots<Self>> = Some(Snapshots::json(1)); // raise 1 when the state changes
//! #   type Event = OrderEvent;
//! #   fn apply(&mut self, _: &OrderEvent) {}
//! }
//! ```
//!
//! # Projections
//!
//! There is no global position and no subscription. To follow events, emit them through the outbox,
//! whose relay loses none.
//!
//! | the read model is | written by |
//! |---|---|
//! | inline | your own SQL in the transaction that appends |
//! | asynchronous | a consumer of what `outbox.emit(&mut tx, event.as_event())` wrote, with an inbox: in order per key, each effect once |
//!
//! Both are made anew from the streams by a [`Rebuild`], which can be interrupted and goes on where
//! it was:
//!
//! ```
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")] mod example {
//! use mainstay_eventstore::{Projection, ProjectionError, Rebuild, Recorded};
//! use mainstay_eventstore::sqlx::{self, SqliteConnection};
//! # use mainstay_eventstore::{Aggregate, Event, EventStore, Loaded, SqliteEventStore, events, database::sqlite::Database};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)] struct OrderPlaced { cents: i64 }
//! # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
//! # events! { enum OrderEvent { OrderPlaced } }
//! # #[derive(Default)] struct Order;
//! # impl Aggregate for Order {
//! #     const STREAM: &'static str = "order";
//! #     type Event = OrderEvent;
//! #     fn apply(&mut self, _: &OrderEvent) {}
//! # }
//!
//! struct OrderList;
//!
//! #[async_trait::async_trait]
//! impl Projection<SqliteConnection> for OrderList {
//!     const NAME: &'static str = "order list";
//!     const SHAPE: u32 = 1; // raise it, and the next start of the service makes the table anew
//!     type Aggregate = Order;
//!
//!     async fn reset(&self, tx: &mut SqliteConnection) -> Result<(), ProjectionError> {
//!         sqlx::query("DELETE FROM order_list").execute(tx).await?;
//!         Ok(())
//!     }
//!
//!     async fn project(&self, tx: &mut SqliteConnection, events: &[Recorded<OrderEvent>]) -> Result<(), ProjectionError> {
//!         for recorded in events {
//!             let OrderEvent::OrderPlaced(placed) = &recorded.event;
//!             sqlx::query("INSERT INTO order_list (id, cents) VALUES ($1, $2)")
//!                 .bind(&*recorded.id).bind(placed.cents).execute(&mut *tx).await?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let db = Database::open(directory.path().join("shop.db")).await?;
//! # let store = SqliteEventStore::builder(&db).open().await?;
//! # let mut tx = db.begin().await?;
//! # sqlx::query("CREATE TABLE order_list (id TEXT, cents INTEGER)").execute(&mut *tx).await?;
//! # let _: Loaded<Order> = store.create(&mut tx, "17", [OrderPlaced { cents: 1250 }]).await?;
//! # db.commit(tx).await?;
//! # let shutdown = std::future::pending();
//! let progress = Rebuild::new(store, OrderList).run_until(shutdown).await?;
//! assert!(progress.is_done);
//! # assert_eq!(progress.events, 1);
//! # Ok(())
//! # } }
//! # #[cfg(feature = "sqlite")] fn main() { example::main().unwrap() }
//! ```
//!
//! # Guarantees
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | Events are appended if and only if your transaction commits. | They are rows of your transaction. |
//! | Of two transactions that append behind one version, one wins. The other one is told before its commit, has written nothing, and can go on. | The primary key (stream, version), and `ON CONFLICT DO NOTHING`. |
//! | A stream has no gaps and no doubles: its n-th event has version n. | An append checks that the version it stands behind is the stream's last. |
//! | An append, a load and a `create` are one statement each; a snapshot that is due is one more. | Tests count statements and round trips. |
//! | Each version of an event that was ever stored still decodes. | Its type does not compile without an upcaster per older version. |
//! | An event that cannot be read fails the load, and is named by stream and version. | Nothing is skipped. |
//! | A snapshot of another shape, or a damaged one, is ignored. | The stream has everything. |
//! | A rebuild gives each event to its projection once, stream by stream in order, whatever interrupts it. | How far it is commits with what it wrote. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | Order between streams. | Put events that must be in order into one stream. |
//! | That a rebuild sees events which are appended while it runs. | [`Rebuild`] says how to miss none. |
//! | Erasing a person's data: events are never changed. | Keep it in a table of its own, or encrypt it with a key per person. |
//! | That `apply` is right after its code changed. | Raise the numbers of the shapes. |
//!
//! # How it works
//!
//! An append inserts rows behind the stream's last version, if that is the version that was loaded.
//! On PostgreSQL a transaction that appends behind the same version waits at the unique key, and
//! inserts nothing if the first one commits. That is no error for the server, so the transaction goes
//! on. Of several events the first one decides, in the same statement. SQLite has one writer.
//!
//! The name of a stream is `aggregate/id`. A rebuild reads the primary key's range of one aggregate,
//! page by page.
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | [`Aggregate::STREAM`] | 64 bytes |
//! | id | 255 bytes, no control character |
//! | events of a stream | 2⁶³ − 1; a load holds all above the snapshot in memory |
//! | events of a step of a rebuild | 5,000 (`batch_size`), 4 MiB (`batch_bytes`) |
//!
//! # Failure modes
//!
//! | what happens | what you get |
//! |---|---|
//! | Another transaction appended first. | [`Error::Conflict`]; nothing was written. Load again and decide again, in the same transaction. |
//! | Another transaction appended first, and yours is REPEATABLE READ or SERIALIZABLE (PostgreSQL). | [`Error::Database`], retryable: your snapshot cannot show what was appended, so the server ends the transaction. Begin anew. |
//! | Two transactions append to the same two streams in opposite order (PostgreSQL). | The server ends one of them: [`Error::Database`], retryable. |
//! | The transaction is rolled back after an append. | The stream is as before; what was loaded is not. Load again. |
//! | The answer to the commit is lost. | Load in a new transaction, and see. An idempotency key or an inbox makes the repetition safe. |
//! | A build is older than an event. | [`Error::Unreadable`] names it; the event stays. |
//! | An event is added to the enum of a new build while old builds run. | The old builds cannot load streams that have it. Deploy reading first, then writing. |
//! | A projection fails for good. | [`Error::Projection`]; the rebuild goes on there when it is run again. |
//! | The database is away during a rebuild. | It waits with a backoff; [`Rebuild::status`] says why. |
//!
//! # Schema
//!
//! | table | rows |
//! |---|---|
//! | `eventstore_events` | one per event: stream, version, kind, version of its schema, payload as JSON, time |
//! | `eventstore_snapshots` | the newest snapshot of each stream that has one |
//! | `eventstore_rebuilds` | how far the rebuild of each projection is |
//! | `eventstore_schema` | the schema's version |
//!
//! The builder's `namespace` puts them under a prefix, and on PostgreSQL into a schema. `open`
//! migrates. A service that runs migrations itself takes `postgres::MIGRATIONS` or
//! `sqlite::MIGRATIONS` and calls `open_without_migrating`. `postgres::roles` is the SQL of a role
//! with the least privileges: it cannot change or delete events.
//!
//! # Metrics
//!
//! | name | kind | unit |
//! |---|---|---|
//! | `mainstay_eventstore_appended` | counter; `stream` = the aggregate | events |
//! | `mainstay_eventstore_conflicts` | counter; `stream` = the aggregate | appends that were refused |
//! | `mainstay_eventstore_rebuilt` | counter; `projection` | events |
//!
//! # Features
//!
//! | feature | what it adds | needs |
//! |---|---|---|
//! | `memory` (default) | streams in the in-memory database, for tests and simulations | |
//! | `sqlite` | streams in a SQLite file | sqlx 0.9, re-exported; its `runtime-tokio` feature |
//! | `postgres` | streams in PostgreSQL 14 or newer | sqlx 0.9, re-exported; its `runtime-tokio` feature and a TLS feature if you use TLS |
//! | `conformance` | the contract as public tests, for stores of your own | |
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod aggregate;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod builder;
mod error;
mod event_store;
mod events;
mod projection;
#[cfg(all(doctest, feature = "sqlite"))]
mod readme;
mod rebuild;
mod snapshots;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
pub mod store;
mod stream;
mod telemetry;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use aggregate::{Aggregate, Loaded, fold};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use builder::EventStoreBuilder;
pub use error::Error;
pub use event_store::EventStore;
pub use events::Events;
#[cfg(feature = "memory")]
pub use memory::MemoryEventStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresEventStore;
pub use projection::{Projection, ProjectionError, Recorded};
pub use rebuild::{Progress, Rebuild, Status};
pub use snapshots::Snapshots;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteEventStore;

pub use mainstay_clock as clock;
pub use mainstay_database as database;
pub use mainstay_messaging as messaging;
pub use mainstay_messaging::Event;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;
