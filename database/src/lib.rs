//! What every mainstay pattern needs of a database, and nothing else: transactions, migrations, checked names.
//!
//! A pattern writes its rows in *your* transaction, so it has to agree with you on what a transaction is, whatever the
//! database; and its tests have to meet what a real server does to concurrent transactions, or they prove nothing.
//! This crate is that agreement, for PostgreSQL, for SQLite and for in-memory tables that behave as PostgreSQL does.
//!
//! # What is guaranteed
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | What [`Transactions::commit`] answered with `Ok` is durable and visible, whole. | SQLite: WAL with `synchronous=FULL` unless you choose otherwise. PostgreSQL: `synchronous_commit`, and a check before COMMIT, which in a failed transaction rolls back without an error. |
//! | A transaction that is dropped, at whatever point, is rolled back; a cancelled `begin` leaves nothing locked. | The conformance suite cancels at every await. |
//! | An error of `commit` other than [`Error::OutcomeUnknown`] says that nothing was applied. | An answer that was lost is never made into one. |
//! | A schema is migrated once, in one transaction, however many processes start at once. | A lock is taken before the version is read: SQLite's write lock, on PostgreSQL an advisory one. |
//! | A schema newer than the build, or a migration edited after it was applied, is refused, and nothing is written. | Version and checksum of every step are recorded. |
//! | What reaches SQL text as a schema or a prefix is a plain identifier. | [`Namespace`] checks it. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | More than READ COMMITTED. | Lock the rows you decide on; read them again after a wait. |
//! | That a commit with [`Error::OutcomeUnknown`] was applied, or ever will be. | Repeat only what carries an inbox mark or an deduplication key. |
//! | A second writer in one SQLite file at the same time. | Writers queue: keep transactions short. |
//! | That the in-memory tables outlive the process. | They are for tests and simulations. |
//!
//! # Quickstart
//!
//! ```
//! use mainstay_database::{Error, Transactions, memory::{Connection, Database, Inserted, Record}};
//!
//! #[derive(Clone, Debug)]
//! struct Stock { sku: &'static str, left: u32 }
//!
//! impl Record for Stock {
//!     const TABLE: &'static str = "stock";
//!     type Key = &'static str;
//!     fn key(&self) -> &'static str { self.sku }
//! }
//!
//! /// Takes its place in the caller's transaction, as every store of mainstay does.
//! async fn reserve(connection: &mut Connection, sku: &'static str) -> Result<bool, Error> {
//!     connection.statement().await?.update(&sku, |stock: &mut Stock| {
//!         let enough = stock.left > 0;             // WHERE left > 0
//!         stock.left = stock.left.saturating_sub(1); // SET left = left - 1
//!         enough
//!     }).await
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let database = Database::new();
//! let mut tx = database.begin().await?;
//! let added = tx.statement().await?.insert(Stock { sku: "mug", left: 1 }).await?;
//! assert_eq!(added, Inserted::New);
//! database.commit(tx).await?;
//!
//! // Two customers want the last mug at the same time. The second waits for the first, and then looks again.
//! let mut first = database.begin().await?;
//! let mut second = database.begin().await?;
//! assert!(reserve(&mut first, "mug").await?);
//! let (reserved, committed) = tokio::join!(reserve(&mut second, "mug"), database.commit(first));
//! committed?;
//! assert!(!reserved?);
//! # Ok::<_, Error>(()) }).map_err(|error| error.to_string())?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! [`Transactions`] has two associated types. `Transaction` is what you hold: it rolls back when dropped. It derefs to
//! `Connection`, the lifetime-free type that stores take: `outbox.enqueue(&mut tx, …)`, `inbox.admit(&mut tx, …)`.
//! Patterns that share a transaction name the same `Connection`. Only engines that run your code open transactions
//! themselves.
//!
//! [`sqlite`] opens a file once per process: one connection that writes, for which in-process writers queue, and a few
//! that read. Every transaction begins IMMEDIATE. [`postgres`] sets READ COMMITTED, a bound on waits for locks and one on idling in the round
//! trip of BEGIN, so it needs no session state and works behind a transaction pooler. [`memory`] models statements, snapshots, row locks,
//! sequences and unique keys as PostgreSQL has them at READ COMMITTED, and goes wrong [on demand](memory::Faults).
//!
//! # Failure modes
//!
//! | what happens | what you get |
//! |---|---|
//! | A deadlock, a serialization failure, a lock timeout; a file that another process keeps busy. | [`Error::Conflict`]: run the transaction again from its beginning. |
//! | The server is away, the disk is full, all connections are taken. | [`Error::Unavailable`]: wait, and run it again. |
//! | The answer to a commit is lost. | [`Error::OutcomeUnknown`]: applied, not applied, or applied *later*. |
//! | A path that cannot be opened, a file that is no database. | [`Error::CannotOpen`], which names it. |
//! | A build older than the schema. | [`Error::NewerSchema`]; nothing is written. |
//! | A statement after an error that ended the transaction. | [`Error::Aborted`]; the commit of such a transaction is a rollback, and fails. |
//! | SQLite ends a transaction by itself (disk full, I/O error). | The commit fails. Do not swallow that statement's error and go on: what follows would run outside any transaction. |
//!
//! # Schema
//!
//! This crate has no tables of its own. For each component it migrates it keeps `<prefix><component>_schema (version,
//! name, checksum)` beside that component's tables.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `memory` (default) | tables in memory that behave as PostgreSQL does at READ COMMITTED |
//! | `postgres` | PostgreSQL 14 or newer through sqlx, which it re-exports; the runtime and TLS are your choice |
//! | `sqlite` | SQLite through sqlx, which it re-exports; the runtime is your choice |
//! | `conformance` | the contract of [`Transactions`] as public tests, for databases of your own |

pub mod commits;
mod error;
mod kind;
mod migrations;
mod namespace;
mod transactions;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use error::Error;
pub use kind::ErrorKind;
pub use migrations::{Migration, Migrations};
pub use namespace::{InvalidNamespace, Namespace};
pub use transactions::Transactions;
