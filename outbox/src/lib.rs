//! Transactional outbox: a message leaves if and only if the transaction that wrote it committed.
//!
//! A service that writes to its database and then publishes to a broker loses the message when it dies in between;
//! one that publishes first announces what never happened. Here the message is a row of the same transaction, and a
//! [`Relay`] publishes rows afterwards, in order, for as long as it takes.
//!
//! # What is guaranteed
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | A message is published if and only if its transaction committed. | The row is part of the transaction; a relay reads committed rows only. |
//! | At least once. Exactly once in a run without crash, lost acknowledgement or change of owner. | A row is removed after the broker's acknowledgement, never before. |
//! | Per (topic, key): if A had committed before B's enqueue began, A is published first. | Rows are read as far as they are visible, in position order; nothing overtakes within a key. |
//! | Each shard has one owner. After a change of owner every write of the old one is refused; what it may still send are duplicates of what its successor publishes. | A fence that rises with the owner; sends end before the lease does. |
//! | A refused or unreadable message stops only its own key, loudly, and is tried again with backoff. | It and its followers move to a deferred table, in order. |
//! | A broker outage counts as no attempt, and the backlog drains in order after it. | An unknown outcome moves nothing. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | Exactly once through crashes. | Admit messages once at the consumer: `mainstay-inbox`. |
//! | An order among messages of concurrent transactions of one key. | Lock the aggregate's row first: then it is commit order. |
//! | An order for a message with [`deliver_after`](Entry::deliver_after). | It leaves its key's order by design. |
//!
//! # Quickstart
//!
//! ```
//! use std::sync::Arc;
//! use mainstay_clock::{SystemClock, SystemIds};
//! use mainstay_database::{Transactions, memory::Database};
//! use mainstay_messaging::{Group, Key, Consumer, ConsumerEvent, Kind, Message, Source, StartAt, Topic, memory};
//! use mainstay_outbox::{Outbox, Relay, memory::{MemoryOutbox, Options}};
//! use tokio_util::sync::CancellationToken;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let topic = Topic::from_static("orders");
//! let broker = memory::Broker::new(memory::Options::default());
//! broker.create_topic(&topic, 4).await?;
//!
//! let database = Database::new();
//! let outbox = MemoryOutbox::open(database.clone(), Options::default()).await?;
//!
//! // In the service: the business write and the message, in one transaction.
//! let message = Message::new(
//!     Source::from_static("/order"), topic.clone(), Kind::from_static("OrderPlaced"),
//!     r#"{"order_id":"17"}"#, &SystemClock::new(), &SystemIds::new(),
//! ).with_key(Key::from_static("order-17"));
//! let mut tx = database.begin().await?;
//! outbox.enqueue(&mut tx, &message).await?;
//! database.commit(tx).await?;
//! outbox.notify();
//!
//! // Beside it: a relay, until told to stop.
//! let relay = Relay::new(Arc::new(outbox), Arc::new(broker.publisher()));
//! let shutdown = CancellationToken::new();
//! let mut consumer = broker.consumer(Group::from_static("billing"), &[topic], StartAt::Earliest);
//! let delivered = async {
//!     loop {
//!         if let ConsumerEvent::Deliveries(deliveries) = consumer.next().await? { return Ok(deliveries); }
//!     }
//! };
//! let delivered: Result<_, mainstay_messaging::Error> = tokio::select! {
//!     delivered = delivered => delivered,
//!     ended = relay.run(shutdown.clone()) => panic!("{ended:?}"),
//! };
//! assert_eq!(delivered?.len(), 1);
//! # Ok::<_, Box<dyn std::error::Error>>(()) }).map_err(|error| error.to_string())?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! A row exists = it is committed and not yet published. (topic, key) hashes to a *shard*; relays divide the shards
//! among those alive by leases, and every change of owner raises the shard's *fence*. A relay reads the rows of its
//! shards in position order, publishes them in one call, and removes the acknowledged ones in one transaction that
//! checks the fences. It never reads "behind the last position I saw": where writers are concurrent, positions are
//! drawn before commit, and gaps fill later.
//!
//! `enqueue` arms a [`Notifier`]: a relay in the same process then polls after 1, 2, 4 … 50 ms until it finds rows.
//! [`Outbox::ring`] after the commit saves even that. A slow poll finds what other processes wrote.
//!
//! ## On PostgreSQL
//!
//! - *Wake-ups across processes*: run `PostgresOutbox::announce` beside what writes and rings, `PostgresOutbox::listen` beside
//!   the relay. NOTIFY goes over a connection of its own, at once while commits are few and at a pace when they are many, never in
//!   your transaction. Without them, or when they fail, the slow poll finds the rows.
//! - *One round trip*: `PostgresOutbox::enqueue_with` makes a business write and its message one statement, in the only form in
//!   which messages of one row keep the order of their writes.
//! - *Roles*: `postgres::roles` is the SQL that makes one for writers and one for relays, with the least they need.
//! - *Poolers*: everything but `listen` works behind one in transaction mode; say so to the database
//!   (`mainstay_database::postgres::Options`), since a pooler keeps no prepared statements. Listening takes the server's own
//!   address: `PostgresOutbox::listen_at`.
//! - *Old snapshots* do not hold messages back; rows that were deleted meanwhile stay in the table until the snapshot ends, and slow
//!   every round down.
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The process dies between the broker's acknowledgement and the removal of the row. | The message is published twice. |
//! | A relay stands still past its lease. | Another takes its shards; what the first one records afterwards is refused ([`Error::Fenced`]). If it stood still within a transaction, which is short, PostgreSQL ends that after 5 s; on SQLite everybody waits for it. |
//! | The broker is away, or answers nothing. | The relay waits with backoff, [`Status::activity`] says so, nothing moves. |
//! | The broker refuses a message for good (too large, unknown topic). | Its key stops: [`Status::blocked_keys`], an error in the log, another attempt with backoff. |
//! | A row cannot be read (damaged, or from a newer build). | The same, and the row is kept as it is. |
//! | A transaction that enqueued stays open for long. | Nothing waits for it. |
//!
//! # Schema
//!
//! `outbox` (the log), `outbox_deferred` (the deferred table), `outbox_deduplication_keys`, `outbox_shards`, `outbox_relays`,
//! `outbox_layout`, and `outbox_schema` for the version; under a prefix of your choice. Shard count and hash are
//! written into the schema: a process configured otherwise refuses to start.
//!
//! # Metrics
//!
//! | name | unit |
//! |---|---|
//! | `mainstay_outbox_published` | messages, counter |
//! | `mainstay_outbox_refused` | refusals, counter |
//! | `mainstay_outbox_oldest_unpublished_seconds` | seconds, gauge |
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `memory` (default) | the store for tests and simulations |
//! | `sqlite` | the store in a SQLite file |
//! | `postgres` | the store in a PostgreSQL database, 14 or newer |
//! | `conformance` | the contract as public tests, for stores of your own |

mod entry;
mod error;
mod notifier;
mod outbox;
mod relay;
mod round;
mod shard;
mod status;
mod store;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(feature = "memory", feature = "sqlite"))]
mod due;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql_rows;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use entry::{DeduplicationKey, Enqueued, Entry};
pub use error::Error;
pub use notifier::Notifier;
pub use outbox::Outbox;
pub use relay::Relay;
pub use shard::{HASH, fair_share, shard_of};
pub use status::{Activity, Status};
pub use store::{Content, Fetched, Limit, Outcome, RelayStore, Row, RowRef, ShardLease, Refusal};
