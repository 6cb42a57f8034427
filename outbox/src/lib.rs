//! Transactional outbox: a message is published if and only if the transaction that wrote it committed.
//!
//! A service that writes to its database and then publishes to a broker has the *dual-write problem*. If
//! it dies in between, the message is lost; if it publishes first, it announces what never happened. An
//! outbox stores the message in the same transaction as the business write. A [`Relay`] publishes it
//! afterwards and retries until the broker has it.
//!
//! **Guarantee:** exactly the committed messages are published, at least once and in order per key, even
//! if processes are killed or the broker is down.
//!
//! # Quickstart
//!
//! ```
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mainstay_outbox::{Event, Outbox, Relay, SqliteOutbox, sqlx};
//! use mainstay_outbox::{database::sqlite::Database, messaging::sqlite::Broker};
//! use serde::{Deserialize, Serialize};
//! use std::borrow::Cow;
//!
//! #[derive(Serialize, Deserialize)]
//! struct OrderPlaced { id: String, cents: i64 }
//!
//! impl Event for OrderPlaced {
//!     const TOPIC: &'static str = "orders";
//!     const KIND: &'static str = "OrderPlaced";
//!     fn key(&self) -> Option<Cow<'_, str>> { Some(self.id.as_str().into()) } // order per id
//! }
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//!
//! let broker = Broker::open("log.db").await?;
//! broker.create_topic("orders", 4).await?; // one that exists stays as it is
//! let db = Database::open("orders.db").await?;
//! let outbox = SqliteOutbox::builder(&db).source("/orders").open().await?;
//! let relay = Relay::new(outbox.clone(), broker.publisher()).spawn();
//! # let mut tx = db.begin().await?;
//! # sqlx::query("CREATE TABLE orders (id TEXT PRIMARY KEY, cents INTEGER NOT NULL)").execute(&mut *tx).await?;
//! # db.commit(tx).await?;
//!
//! let order = OrderPlaced { id: "17".into(), cents: 4_200 };
//! let mut tx = db.begin().await?;
//! sqlx::query("INSERT INTO orders (id, cents) VALUES ($1, $2)")
//!     .bind(&order.id).bind(order.cents).execute(&mut *tx).await?;
//! outbox.emit(&mut tx, &order).await?; // topic, key, kind and version come from `impl Event`
//! db.commit(tx).await?;                // wakes the relay
//! # while relay.status().published == 0 { tokio::task::yield_now().await; }
//!
//! // At the end of the process. The next start publishes what is not published by then.
//! relay.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! On a PostgreSQL pool that exists, only the opening and the commit differ:
//!
//! ```no_run
//! # #[cfg(all(feature = "postgres", feature = "sqlite"))]
//! # mod example {
//! use mainstay_outbox::{Event, Outbox, PostgresOutbox, Relay, sqlx::{self, PgPool}};
//! # use mainstay_outbox::messaging::sqlite::Broker;
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct OrderPlaced { id: String, cents: i64 }
//! # impl Event for OrderPlaced {
//! #     const TOPIC: &'static str = "orders";
//! #     const KIND: &'static str = "OrderPlaced";
//! # }
//! # async fn example(pool: PgPool, broker: Broker, order: OrderPlaced) -> Result<(), Box<dyn std::error::Error>> {
//!
//! let outbox = PostgresOutbox::builder(&pool).source("/orders").open().await?;
//! let relay = Relay::new(outbox.clone(), broker.publisher()).spawn();
//!
//! let mut tx = pool.begin().await?;
//! sqlx::query("INSERT INTO orders (id, cents) VALUES ($1, $2)")
//!     .bind(&order.id).bind(order.cents).execute(&mut *tx).await?;
//! outbox.emit(&mut tx, &order).await?;
//! tx.commit().await?;
//! outbox.notify();                     // optional: wakes the relay at once; without it, up to 50 ms later
//! # relay.shutdown().await?;
//! # Ok(()) } }
//! # fn main() {}
//! ```
//!
//! One line in `Cargo.toml` suffices: this crate re-exports [`messaging`], [`database`], [`clock`] and
//! `sqlx`. Tests of a service need no database: see [`RecordingOutbox`].
//!
//! # Guarantees
//!
//! | guaranteed | why |
//! |---|---|
//! | A message is published if and only if its transaction committed. | Its row is part of the transaction, and a relay reads committed rows only. |
//! | It is published at least once, and exactly once in a run without crash, lost acknowledgement or change of owner. | A row is removed after the broker's acknowledgement, never before. |
//! | Per (topic, key): if A had committed before B's enqueue began, A is published first. | A relay reads all visible rows in position order, and no message overtakes another of its key. |
//! | Each shard has one owner. After a change of owner, every write of the former owner is refused. | A fencing token grows with each change of owner. Publish calls end before the lease does. |
//! | A refused or unreadable message blocks only its own key and is retried with backoff. | It moves to the deferred table, and later messages of its key are held behind it. |
//! | Waiting messages slow nothing down: a round costs what its limit allows, however many messages are blocked or delayed. | It reads the deferred table by the indexes of what is due. |
//! | A broker outage counts as no attempt, and the backlog drains in order afterwards. | Unknown outcomes move no row. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | Exactly once through crashes. | Make the consumer idempotent: `mainstay-inbox` skips duplicates. |
//! | An order among messages of concurrent transactions of one key. | Lock the aggregate's row first; then it is commit order. |
//! | The order of a message with [`deliver_after`](Entry::deliver_after). | A delayed message leaves the order of its key by design. |
//! | Publication of a message that an operator discarded, or whose [deduplication key](DeduplicationKey) was used before. | Discards are recorded in `outbox_acts`; [`Enqueued`] tells of a repeated key. |
//!
//! # Limits
//!
//! | limit | default | set by |
//! |---|---|---|
//! | relays that can share the work (shards); fixed at the first open | 1 | [`shards`](OutboxBuilder::shards) |
//! | size of a message | 1 MiB | [`max_message_size`](OutboxBuilder::max_message_size) |
//! | time for which a deduplication key is remembered | 7 days | [`deduplication_retention`](OutboxBuilder::deduplication_retention) |
//!
//! # How it works
//!
//! A row of the outbox is a message that is committed and not yet published. The hash of (topic, key)
//! assigns it to a *shard*. The living relays divide the shards among themselves by leases. A relay reads
//! the rows of its shards in position order, publishes them in one call, and removes the acknowledged
//! ones in one transaction that checks its fencing tokens. A commit through the [`database`] handle wakes
//! the relay of the same process; rows of other processes are found at the
//! [`poll_interval`](Relay::poll_interval). The [`guide`] has the details, and what PostgreSQL adds:
//! wake-ups across processes, combined statements, roles and poolers.
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The process dies after the broker's acknowledgement and before the row is removed. | The message is published twice. |
//! | A relay is suspended for longer than its lease. | Another relay takes its shards. What the first one records afterwards is refused ([`Error::Fenced`]). |
//! | A relay is suspended inside a transaction. | PostgreSQL ends the transaction after 5 s. On SQLite, all writers wait for it. |
//! | The broker is down or does not answer. | The relay retries with backoff, [`Status::last_error`] says why, and no row moves. |
//! | The broker refuses a message for good: too large, unknown topic. | Its key is blocked: [`Status::blocked_keys`], an error in the log, retries with backoff. An [operator](operator::Operator) lists it, has it tried at once, or discards it. |
//! | A row is damaged or written by a newer build. | Its key is blocked, and the row stays unchanged. |
//! | A transaction that enqueued stays open for long. | No other message waits for it. |
//!
//! # Schema
//!
//! | table | rows |
//! |---|---|
//! | `outbox` | the log: committed messages that are not yet published |
//! | `outbox_deferred` | delayed messages, and messages of blocked keys |
//! | `outbox_deduplication_keys` | deduplication keys that were used |
//! | `outbox_shards` | owner and fencing token of each shard |
//! | `outbox_relays` | living relays and their leases |
//! | `outbox_acts` | what operators did, with the messages that they discarded; this crate never deletes from it |
//! | `outbox_layout` | number of shards and hash, which all processes must agree on |
//! | `outbox_schema` | applied migrations |
//!
//! All names may have a prefix, and on PostgreSQL a schema, of your choice
//! ([`namespace`](database::Namespace)).
//!
//! # Metrics
//!
//! | name | kind | unit |
//! |---|---|---|
//! | `mainstay_outbox_published` | counter | messages |
//! | `mainstay_outbox_refused` | counter | refusals |
//! | `mainstay_outbox_oldest_unpublished_seconds` | gauge | seconds |
//!
//! # Features
//!
//! | feature | what it adds | needs |
//! |---|---|---|
//! | `memory` (default) | outbox and broker in memory, for tests and simulations | |
//! | `sqlite` | outbox and broker in SQLite files | sqlx 0.9, re-exported; its `runtime-tokio` feature |
//! | `postgres` | outbox in PostgreSQL 14 or newer | sqlx 0.9, re-exported; its `runtime-tokio` feature and a TLS feature if you use TLS |
//! | `conformance` | the contract of a store as public tests, for stores of your own | |
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
mod builder;
#[cfg(any(feature = "memory", feature = "sqlite"))]
mod delay;
mod entry;
mod error;
pub mod guide;
mod notifier;
pub mod operator;
mod origin;
mod outbox;
#[cfg(all(doctest, feature = "postgres", feature = "sqlite"))]
mod readme;
mod recording;
mod relay;
mod round;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod schema;
mod shard;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql_rows;
mod status;
pub mod store;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
pub use builder::OutboxBuilder;
pub use entry::{DeduplicationKey, Enqueued, Entry};
pub use error::Error;
#[cfg(feature = "memory")]
pub use memory::MemoryOutbox;
pub use outbox::Outbox;
#[cfg(feature = "postgres")]
pub use postgres::PostgresOutbox;
pub use recording::RecordingOutbox;
pub use relay::{Relay, RelayHandle};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteOutbox;
pub use status::{Activity, Status};

pub use mainstay_clock as clock;
pub use mainstay_database as database;
pub use mainstay_messaging as messaging;
#[doc(no_inline)]
pub use mainstay_messaging::{Event, Message};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;
