//! In-memory transactional tables that behave as PostgreSQL does at READ COMMITTED.
//!
//! For tests and simulations of code that runs on a real server: a memory store that cannot show
//! what PostgreSQL does to concurrent transactions hides bugs. Everything is deterministic: waits
//! are first come, first served, and time is the injected [`Clock`](mainstay_clock::Clock).
//!
//! ```
//! use mainstay_database::memory::{Database, Inserted, Record};
//!
//! #[derive(Clone, Debug)]
//! struct Account { owner: &'static str, cents: u64 }
//!
//! impl Record for Account {
//!     const TABLE: &'static str = "account";
//!     type Key = &'static str;
//!     fn key(&self) -> &'static str { self.owner }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let database = Database::new();
//! let mut tx = database.begin().await?;
//! let added = tx.statement().await?.insert(Account { owner: "ada", cents: 500 }).await?;
//! assert_eq!(added, Inserted::New);
//! let paid = tx.statement().await?.update(&"ada", |account: &mut Account| {
//!     let enough = account.cents >= 200;      // WHERE
//!     if enough { account.cents -= 200; }     // SET
//!     enough
//! }).await?;
//! assert!(paid);
//! database.commit(tx).await?;
//!
//! let mut tx = database.begin().await?;
//! assert_eq!(tx.statement().await?.get::<Account>(&"ada").unwrap().cents, 300);
//! # Ok::<_, mainstay_database::Error>(()) }).unwrap();
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # What a statement is
//!
//! [`Connection::statement`] starts one SQL statement and takes its snapshot; everything done
//! through that [`Statement`] is part of it, as the parts of one statement with several
//! data-modifying CTEs are:
//!
//! - Reads see what had committed when the statement began, and what *earlier* statements of the
//!   same transaction wrote; never what this statement wrote itself.
//! - [`update`](Statement::update), [`delete`](Statement::delete) and [`lock`](Statement::lock)
//!   find their row in the snapshot. A row that the snapshot does not have is not there, although
//!   [`insert`](Statement::insert) may say that it exists. If another transaction holds the row,
//!   the statement waits and reads its newest version again.
//! - A row that this statement has changed is not changed by it a second time.
//!
//! # What is not modelled
//!
//! Savepoints within savepoints, and going back to one after a conflict; REPEATABLE READ and
//! SERIALIZABLE ([`Faults`] can inject their failures), secondary unique keys, foreign keys and disk.

mod cause;
mod connection;
mod database;
mod faults;
mod link;
mod locks;
mod pause;
mod savepoint;
mod snapshot;
mod state;
mod statement;
mod table;

pub use cause::Cause;
pub use connection::{Connection, Transaction};
pub use database::{Builder, Database};
pub use faults::{Attempt, CommitFault, Fault, Faults, Lingering, Outcome, PendingCommit};
pub use link::Link;
pub use locks::Strength;
pub use snapshot::{Snapshot, TransactionId};
pub use statement::{Inserted, Locked, Statement, Wait};
pub use table::Record;
