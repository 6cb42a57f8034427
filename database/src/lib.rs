//! Transactions, migrations and checked names: what the mainstay patterns need of a database.
//!
//! A pattern writes its rows in *your* transaction, so both must agree on what a transaction is.
//! Its tests must meet what a server does to concurrent transactions. This crate is that agreement,
//! for PostgreSQL, SQLite and in-memory tables that behave as PostgreSQL does at READ COMMITTED.
//!
//! **Guarantee:** a transaction is applied whole or not at all, and its error says which.
//!
//! # Quickstart
//!
//! ```
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mainstay_database::{Migration, Migrations, Namespace, sqlite::{Database, sqlx}};
//!
//! const SHOP: Migrations = Migrations {
//!     component: "shop",
//!     steps: &[Migration {
//!         name: "0001_orders",
//!         sql: "CREATE TABLE {ns}orders (id INTEGER PRIMARY KEY, sku TEXT NOT NULL) STRICT;",
//!     }],
//! };
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//!
//! let database = Database::open("shop.db").await?; // or postgres::Database::connect(url)
//! database.migrate(&SHOP, &Namespace::plain()).await?;
//!
//! let mut tx = database.begin().await?;
//! sqlx::query("INSERT INTO orders (sku) VALUES ($1)").bind("mug").execute(&mut *tx).await?;
//! database.commit(tx).await?; // wakes the engines that listen
//! # Ok(()) }
//! ```
//!
//! On a pool that exists:
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # async fn example(pool: mainstay_database::postgres::sqlx::PgPool) -> Result<(), mainstay_database::Error> {
//! use mainstay_database::postgres::Database;
//!
//! let database = Database::from(pool);
//! let tx = database.begin().await?; // or pool.begin()
//! database.commit(tx).await?;
//! # Ok(()) }
//! ```
//!
//! # Guarantees
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | After [`commit`](Transactions::commit) returns `Ok`, the transaction is durable and visible, whole. | SQLite: WAL with `synchronous=FULL` unless you choose otherwise. PostgreSQL: `synchronous_commit`, and a check before COMMIT, because COMMIT of a failed transaction rolls back without an error. |
//! | A dropped transaction is rolled back. A cancelled `begin` leaves nothing locked. | The conformance suite cancels at every await. |
//! | After any error of `commit` but [`Error::OutcomeUnknown`], nothing was applied. | A lost answer is always reported as lost. |
//! | A schema is migrated once, in one transaction, even if ten processes start at once. | A lock is taken before the version is read: SQLite's write lock, on PostgreSQL an advisory lock. |
//! | A schema newer than the build, or an edited migration, is refused, and nothing is written. | Version and checksum of every step are recorded. |
//! | A schema or prefix in SQL text is a plain identifier. | [`Namespace`] checks it. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | More than READ COMMITTED. | Lock the rows you decide on, and read them again after a wait. |
//! | That a commit with [`Error::OutcomeUnknown`] was applied, or ever will be. | Repeat only transactions that write an inbox's processed record or a deduplication key. |
//! | A second writer in one SQLite file at the same time. | Writers queue: keep transactions short. |
//! | That in-memory tables outlive the process. | Use them in tests and simulations. |
//! | That every commit notifies ([`commits`]). | Commit through this crate's `Database`; engines poll as well. |
//!
//! # How it works
//!
//! [`Transactions`] has two associated types. `Transaction` is what you hold; it rolls back when
//! dropped. It derefs to `Connection`, the type without a lifetime that stores take:
//! `outbox.emit(&mut tx, …)`. Patterns that share a transaction name the same `Connection`. Only
//! engines that run your code open transactions themselves.
//!
//! | database | connections | a transaction |
//! |---|---|---|
//! | [`postgres`] | a pool | READ COMMITTED, with bounds on waits for locks and on idling. They are set in the round trip of BEGIN, so it works behind a transaction pooler. |
//! | [`sqlite`] | one that writes, a few that read | begins IMMEDIATE; writers of the process queue |
//! | [`memory`] | any number | statements, snapshots, row locks, sequences and unique keys as PostgreSQL has them; [faults](memory::Faults) on demand |
//!
//! # Failure modes
//!
//! | what happens | what you get |
//! |---|---|
//! | A deadlock, a serialization failure, a lock timeout; a file that another process keeps busy. | [`Error::Conflict`]: run the transaction again from its beginning. |
//! | A prepared statement became stale: a migration changed the type of a column, or the session forgot it (PostgreSQL). | [`Error::Conflict`]. The next transactions prepare their statements anew, on every connection. |
//! | The server is away, the disk is full, all connections are in use. | [`Error::Unavailable`]: wait, and run it again. |
//! | Connections that the server closed while they were idle, as in a restart (PostgreSQL). | `begin` takes another one. A statement directly on the pool fails once per such connection. |
//! | The answer to a commit is lost. | [`Error::OutcomeUnknown`]: applied, not applied, or applied *later*. |
//! | A path that cannot be opened, a file that is no database, a URL in place of a path, a setting outside its limits. | [`Error::CannotOpen`], which names it. |
//! | A build older than the schema. | [`Error::NewerSchema`]; nothing is written. |
//! | A schema without the latest migrations, opened without migrating. | [`Error::MissingSchema`], which names what is missing. |
//! | A statement after an error that ended the transaction. | [`Error::Aborted`]. The commit of such a transaction is a rollback, and fails. |
//! | SQLite ends a transaction by itself (disk full, I/O error). | The commit fails. Handle that statement's error: later statements would run outside any transaction. |
//!
//! # Schema
//!
//! This crate has no tables of its own. For each component that it migrates, it keeps
//! `<prefix><component>_schema (version, name, checksum)` beside that component's tables.
//! [`Migrations::sql`] hands the same steps to a migration tool of your own.
//!
//! # Features
//!
//! | feature | what it adds | what it needs |
//! |---|---|---|
//! | `memory` (default) | tables in memory that behave as PostgreSQL does at READ COMMITTED | |
//! | `postgres` | PostgreSQL 14 or newer | sqlx 0.9, re-exported; its `runtime-tokio` feature, and a TLS feature if you use TLS |
//! | `sqlite` | SQLite | sqlx 0.9, re-exported; its `runtime-tokio` feature |
//! | `conformance` | the contract of [`Transactions`] as tests, for databases of your own: [`conformance!`] | |
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

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
