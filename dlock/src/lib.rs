//! Distributed locks with fencing tokens, and leader election: mutual exclusion that can be checked.
//!
//! Every lock with a lease can have two holders. The first one is paused (by the scheduler, a garbage collector, a
//! suspended machine), its lease ends, a second one takes over, and then the first one wakes up and writes. A
//! *fencing token* grows with each holder, and the written resource refuses an older one.
//!
//! **Guarantee:** a write that checks its token in its own transaction never follows a write of a newer holder, however
//! long its process was paused and whatever the lock's store lost. **Without a checked token a lock is an optimisation:**
//! it makes double work rare, and excludes nothing.
//!
//! # Quickstart
//!
//! ```
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mainstay_dlock::{Error, Locks, SqliteFences, SqliteLeases, database::sqlite::Database, sqlx};
//! use std::time::Duration;
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//!
//! let db = Database::open("shop.db").await?;
//! # let mut tx = db.begin().await?;
//! # sqlx::query("CREATE TABLE stock (pieces INTEGER); ").execute(&mut *tx).await?;
//! # db.commit(tx).await?;
//! let locks = Locks::new(SqliteLeases::builder(&db).open().await?);
//! let fences = SqliteFences::builder(&db).open().await?;
//!
//! // Waits up to 30 s for the lock. The lease (10 s) is renewed by itself.
//! let guard = locks.acquire("stocktaking", Duration::from_secs(30)).await?;
//! guard.run(async {                                   // dropped if the lease ends
//!     let mut tx = db.begin().await?;
//!     guard.check(&fences, &mut tx).await?;           // refuses a former holder; call it first
//!     sqlx::query("UPDATE stock SET pieces = 0").execute(&mut *tx).await?;
//!     db.commit(tx).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! }).await??;
//! guard.release().await?;                             // a dropped guard is released in the background
//! # Ok::<_, Box<dyn std::error::Error>>(()) }
//! ```
//!
//! The lock in Redis, the guarded rows in PostgreSQL:
//!
//! ```no_run
//! # #[cfg(all(feature = "postgres", feature = "redis"))]
//! # async fn example(url: &str, pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! use mainstay_dlock::{Locks, PostgresFences, RedisLeases, redis::Client};
//!
//! let redis = Client::open(url)?.get_connection_manager().await?;
//! let locks = Locks::new(RedisLeases::builder(redis).open().await?);
//! let fences = PostgresFences::builder(&pool).open().await?;
//! # drop((locks, fences));
//! # Ok(()) }
//! # #[cfg(all(feature = "postgres", feature = "redis"))] use mainstay_dlock::sqlx;
//! ```
//!
//! Leader election, for what must run once among all processes:
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # use mainstay_dlock::{Error, Guard, Locks, MemoryLeases, database::memory::Database};
//! # let locks = Locks::new(MemoryLeases::builder(&Database::new()).open().await?);
//! # async fn shutdown_signal() { std::future::pending().await }
//! async fn sweep(guard: Guard) -> Result<(), Error> {
//!     // … begin, guard.check(&fences, &mut tx), sweep, commit; again and again …
//!     # guard.release().await?;
//!     Ok(())
//! }
//!
//! locks.lead("sweeper", sweep).run_until(shutdown_signal()).await?;
//! # Ok::<_, Error>(()) }).unwrap();
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! One line in `Cargo.toml` suffices: this crate re-exports [`database`], [`clock`] and its drivers.
//!
//! # Guarantees
//!
//! | guaranteed | why |
//! |---|---|
//! | Once a newer holder has checked its token for a resource, no older holder's transaction that checks is committed there. | [`Fences::check`] keeps the newest token and locks its row until the transaction ends. |
//! | The tokens of a lock grow with each change of its holder. | On SQL a counter that outlives the rows; in Redis the last token, and the server's time above it. |
//! | A token that a resource refused is followed by a larger one, even if the store of leases lost its data. | A refused [`Guard::check`] tells these [`Locks`] what was seen, and the next request asks for more. |
//! | No poll of a guarded future begins after its lease has ended, even if the process was stopped or the machine suspended. | The deadline counts from before the request, on a clock that counts suspended time, and [`Guard::run`] looks at it before each poll. |
//! | While no lease ends and no store loses data, a lock has one holder. | The store's own clock decides, and the holder's deadline comes first. |
//! | A lost answer costs nothing: asking or releasing again is right, and frees nobody else's lock. | Each acquisition is an owner with an id of its own. |
//! | An acquisition that is cancelled and a guard that is dropped leave no lock behind. | It is released in the background, on the runtime that acquired it. |
//! | Leases are renewed at a third, all of a process in one call, even if the guarded work does not yield. | A task of its own. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | Anything about writes that do not check the token. | Check it, in the transaction that writes; make the table refuse others: [`postgres::guarded`], [`sqlite::guarded`]. |
//! | That effects outside a transaction (a mail, a call) happen under one holder only. | Send the [`token`](Guard::token) along, and let the receiver refuse older ones. |
//! | Fairness among waiters. | Keep locks short; use a queue for work. |
//! | Re-entrance: a second acquisition waits for the first, even in the same task. | Pass the guard on. |
//! | A lock that survives a failover of Redis or of an asynchronous replica. | The fence refuses the former holder. |
//!
//! # How it works
//!
//! A lock is a row: owner, token, end of the lease (10 s by default, [`lease`](LocksBuilder::lease)). Taking it is one statement or script: it is granted if it is
//! free, if its lease has ended by the store's clock, or if the same owner asks again. The guard counts its
//! own deadline from before that request, a hundredth and two milliseconds shorter than the lease, so it ends first. A task renews
//! all leases of a process after a third of their length, and tries again soon after a failure.
//!
//! A resource keeps the newest token that it accepted, in a row of its own beside the guarded rows. A check compares, stores and
//! locks that row in the caller's transaction. It never touches the row of the lease, so a long transaction does not keep its own
//! lease from being renewed. Transactions that check the same name run one after another.
//!
//! In Redis, operations of a process that overlap share one call of a script, at most 128 of them. An operation never waits for
//! another one's answer, and one that fails does not fail the others of its call.
//!
//! Waiters ask again at the [`poll_interval`](LocksBuilder::poll_interval), or when the lease ends.
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The holder's process dies. | The lock is free when its lease ends. |
//! | The holder is paused for longer than its lease. | Another takes over. The first one's future is not polled again, and its check is refused. |
//! | A holder is stopped inside a transaction that has checked. | Its successor's check waits until the database ends that transaction (PostgreSQL: [`idle_in_transaction_timeout`](database), 60 s by default). |
//! | The store does not answer. | Renewals are repeated; the lease ends at its deadline, and work is dropped. Acquiring fails with [`Error::Unavailable`] or [`Error::Database`]. |
//! | Redis restarts empty or fails over without the last writes. | Two may hold the lock for up to a lease. The fence refuses one of them. |
//! | Redis forgets its scripts. | They are sent again. |
//! | Redis has no memory left. | Leases are renewed, locks are released, and usually none is granted: [`Error::Unavailable`]. |
//! | The key of a lock in Redis holds something else, or the user may not touch it. | Acquiring this lock is refused ([`Error::Refused`]), the key stays as it is, and a lease that is held is lost at its next renewal or at its end. Other locks notice nothing. |
//! | A token in Redis would be 2⁵³ or above. | The lock is not granted: [`Error::Refused`]. |
//! | Redis is set to evict keys. | Opening is refused with the name of the setting: [`Error::Evicts`]. |
//! | A server's clock jumps ahead. | Leases end early: a change of holder, and the fence refuses the former one. |
//! | An acquisition that was given up was still under way to the store. | The lock may be taken without a holder; it is free when that lease ends. |
//! | On SQLite, a write transaction lasts longer than a third of the lease. | Renewals wait for it, and the lease may end. Keep them short. |
//!
//! # Schema
//!
//! | table or key | rows |
//! |---|---|
//! | `dlock_leases` | locks that are held; a holder that died leaves its row until the lock is taken again |
//! | `dlock_tokens` | the last token (PostgreSQL: a sequence) |
//! | `dlock_fences` | the newest token accepted for each name; never deleted, so guard by few names |
//! | `dlock_checked` (SQLite) | tokens accepted in a transaction, for guarded tables |
//! | `dlock_schema` | applied migrations |
//! | `dlock:<name>` (Redis) | a text: the last token; while the lock is held also the end of the lease and the owner; removed an hour after its lease |
//!
//! All names may have a prefix, and on PostgreSQL a schema, of your choice ([`namespace`](database::Namespace)). A
//! service that runs migrations itself takes `postgres::MIGRATIONS` or `sqlite::MIGRATIONS` and calls
//! `open_without_migrating`. `postgres::roles` is the SQL of two roles with the least privileges: one to
//! hold locks, one to write under them.
//!
//! # Metrics
//!
//! | name | kind | unit |
//! |---|---|---|
//! | `mainstay_dlock_acquired` | counter | locks |
//! | `mainstay_dlock_contended` | counter | requests that found the lock held |
//! | `mainstay_dlock_lost` | counter | leases that ended while they were held |
//! | `mainstay_dlock_fenced` | counter | refused checks |
//! | `mainstay_dlock_held` | gauge | locks held by this process |
//!
//! # Features
//!
//! | feature | what it adds | needs |
//! |---|---|---|
//! | `memory` (default) | leases and fences in memory, for tests and simulations | |
//! | `sqlite` | leases and fences in SQLite files | sqlx 0.9, re-exported; its `runtime-tokio` feature |
//! | `postgres` | leases and fences in PostgreSQL 14 or newer | sqlx 0.9, re-exported; its `runtime-tokio` feature and a TLS feature if you use TLS |
//! | `redis` | leases in Redis 6.2 or newer | redis 1, re-exported as [`redis::driver`]; a TLS feature if you use TLS |
//! | `conformance` | the contract of a store as public tests, for stores of your own | |
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod error;
mod fences;
mod guard;
mod leader;
mod locks;
mod name;
#[cfg(all(doctest, feature = "postgres", feature = "redis", feature = "sqlite"))]
mod readme;
pub mod store;
mod token;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use error::Error;
pub use fences::Fences;
pub use guard::Guard;
pub use leader::{Leader, LeaderHandle, LeaderStatus};
pub use locks::{Locks, LocksBuilder};
#[cfg(feature = "memory")]
pub use memory::{MemoryFences, MemoryLeases};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresFences, PostgresLeases};
#[cfg(feature = "redis")]
pub use redis::RedisLeases;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteFences, SqliteLeases};
pub use token::FencingToken;

pub use mainstay_clock as clock;
pub use mainstay_database as database;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;
