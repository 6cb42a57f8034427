//! Idempotency keys: the same request twice is one effect and one answer.
//!
//! A client that gets no answer does not know whether its request was processed. If it sends the
//! request again, a service that simply processes it places the order twice. With an idempotency
//! key, which the client chooses and sends with each attempt, the service deduplicates: it makes the
//! effect once and gives the same answer again.
//!
//! **Guarantee:** for 24 hours (`lifetime`), of all requests with one key one makes its effect in your
//! database. Each is answered with the same bytes or asked to come again, even if processes are killed
//! mid-way.
//!
//! # Quickstart
//!
//! ```standalone_crate
//! # #[cfg(not(all(feature = "axum", feature = "sqlite")))] fn main() {}
//! # #[cfg(all(feature = "axum", feature = "sqlite"))] mod example {
//! use axum::{Router, extract::State, http::StatusCode, response::Response, routing::post};
//! use mainstay_idempotency::{Answer, Keyed, SqliteRecords, Sweeper, http::Problem};
//! use mainstay_idempotency::{database::sqlite::Database, sqlx::{self, SqliteConnection}};
//!
//! # #[derive(serde::Deserialize, serde::Serialize)] struct PlaceOrder { sku: String }
//! /// Everything written through `tx` commits together with the answer, or not at all.
//! async fn place(tx: &mut SqliteConnection, order: &PlaceOrder) -> Result<Answer, Problem> {
//!     sqlx::query("INSERT INTO orders (sku) VALUES ($1)").bind(&order.sku).execute(tx).await?;
//!     Ok(Answer::json(StatusCode::CREATED, order)?)
//! }
//!
//! async fn post_order(State(records): State<SqliteRecords>, order: Keyed<PlaceOrder>) -> Result<Response, Problem> {
//!     order.run(&records, place).await // `order.body` is the JSON, `order.request` has the key
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//! let db = Database::open("shop.db").await?; // with a table `orders`
//! # let mut tx = db.begin().await?;
//! # sqlx::query("CREATE TABLE orders (sku TEXT)").execute(&mut *tx).await?;
//! # db.commit(tx).await?;
//! let records = SqliteRecords::builder(&db).open().await?;
//! let sweeper = Sweeper::new(records.clone()).spawn(); // deletes answers after 24 h
//! let app = Router::new().route("/orders", post(post_order)).with_state(records);
//! # use axum::{body::Body, http::Request};
//! # for _ in 0..2 {
//! #     let ask = Request::post("/orders").header("idempotency-key", "k1");
//! #     let ask = ask.body(Body::from(r#"{"sku":"mug"}"#))?;
//! #     let got = tower::ServiceExt::oneshot(app.clone(), ask).await?;
//! #     assert_eq!(got.status(), StatusCode::CREATED);
//! # }
//! # let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(db.reader()).await?;
//! # assert_eq!(orders, 1);
//! // … serve `app`; at the end of the process:
//! sweeper.shutdown().await?;
//! # Ok(())
//! # } }
//! # #[cfg(all(feature = "axum", feature = "sqlite"))] fn main() { example::main().unwrap() }
//! ```
//!
//! What `place` needs besides the connection is state: [`Keyed::run_with`]. A
//! service with several customers says whose keys they are: `Keyed<PlaceOrder, Account>`, where
//! `Account` is its extractor that authenticates, with [`Tenant`](http::Tenant).
//!
//! The same in a transaction of your own, here on a `PgPool` that exists:
//!
//! ```no_run
//! # #[cfg(all(feature = "axum", feature = "postgres"))] mod example {
//! use axum::response::{IntoResponse, Response};
//! use mainstay_idempotency::{Answer, Begun, Keyed, PostgresRecords, Records, http::Problem, sqlx::PgPool};
//!
//! # struct PlaceOrder { sku: String }
//! async fn place(pool: PgPool, records: PostgresRecords, order: Keyed<PlaceOrder>) -> Result<Response, Problem> {
//!     let mut tx = pool.begin().await?;
//!     let claim = match records.begin(&mut tx, &order.request).await? {
//!         Begun::Fresh(claim) => claim,
//!         Begun::Settled(settled) => return Ok(settled.into_response()), // as before, 409 or 422
//!     };
//!     // … the effect, through `tx` …
//!     let answer = Answer::new(201_u16, "placed");
//!     records.complete(&mut tx, claim, &answer).await?; // no further commit
//!     tx.commit().await?;
//!     Ok(answer.into_response())
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! Effects that are elsewhere, such as a charge at a payment provider, cannot commit with the answer.
//! Their keys are under leases, in Redis or in memory, and the provider is told the same key:
//!
//! ```no_run
//! # #[cfg(all(feature = "axum", feature = "redis"))]
//! # async fn example(charge: axum::routing::MethodRouter) -> Result<(), Box<dyn std::error::Error>> {
//! use axum::Router;
//! use mainstay_idempotency::{IdempotencyLayer, RedisLeases, redis::Client};
//!
//! let connection = Client::open("redis://localhost")?.get_connection_manager().await?;
//! let leases = RedisLeases::builder(connection).open().await?;
//! let app: Router = Router::new().route("/charges", charge).route_layer(IdempotencyLayer::new(leases));
//! # Ok(()) }
//! ```
//!
//! [`Operations`] does the same without HTTP.
//!
//! # Guarantees
//!
//! | guaranteed | of | on what it rests |
//! |---|---|---|
//! | The same request is one effect and one answer. | [`Records`] | Effect and answer commit together; the unique key refuses the later of two transactions. |
//! | A crash, a rollback or a dropped future frees the key. | `Records` | The record is part of the transaction. |
//! | A key costs two statements and no commit. | `Records` | A test counts round trips. |
//! | Every answer to a key is the same. | [`Leases`] | An answer is given only after it was kept, and only the holder of the newest fencing token keeps one. |
//! | A former holder changes nothing, and does no work after its lease has ended. | `Leases` | Every exit carries the token. The deadline counts from before the request, on a clock that counts suspension, and is checked before each poll. |
//! | A key is usable again a lease after its holder died. | `Leases` | A living holder renews at a third of the lease. |
//! | Two tenants with the same key never meet. | both | [`Scope`] is part of the [`Key`]. |
//! | A key is never answered for another request. | both | A BLAKE3 fingerprint over scope, path and body. |
//! | Stored answers are given byte for byte, several headers of one name included. | both | Header values are kept as bytes, in order. |
//! | A client that hangs up does not stop its request. | [`Keyed::run`], [`Operations`], [`IdempotencyLayer`] | It runs in a task of its own. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | One effect elsewhere, after a holder died or was paused under a lease. | Tell the other side a key of its own: [`Lease::request`]. |
//! | One effect after the lifetime of the answer (24 h). | Set `lifetime` above the longest retry, and publish it. |
//! | 422 for another request while the first one is in an open transaction. | Its retry gets 422. An open transaction shows nothing to others, so it is 409 until then. |
//! | That Redis forgets nothing: what it has not written to disk or to a replica is lost with it. | Persist it (`appendonly yes`), or use `Records`. |
//!
//! # How it works
//!
//! *Records.* [`begin`](Records::begin) looks for the key's record in the caller's transaction. Without
//! one the request is fresh. [`complete`](Records::complete) inserts the record in the same
//! transaction, and the unique key decides: if another transaction was first, nothing is inserted and
//! [`Error::Conflict`] says to roll back and begin again, which finds that one's answer.
//!
//! | store | a second request while the first one's transaction is open |
//! |---|---|
//! | `PostgresRecords` | is told at once (409): an advisory lock of the transaction, which nobody waits for |
//! | `SqliteRecords` | waits for the writer, and is given the answer |
//! | `MemoryRecords` | makes its effect, waits when it completes, and is refused |
//!
//! *Leases.* One call leases the key for a while, with a fencing token above all earlier ones; one call
//! keeps the answer and ends the lease. Both are scripts on one hash in Redis, by the server's clock.
//! [`Operations`] renews the lease at a third of its time, stops the work when the lease cannot be
//! renewed, and repeats what was not answered.
//!
//! # Status codes
//!
//! See [`http`], after the IETF draft `draft-ietf-httpapi-idempotency-key-header`.
//!
//! # Limits
//!
//! | what | limit | set by |
//! |---|---|---|
//! | key | 1 to 255 printable ASCII characters | |
//! | tenant | 255 bytes | |
//! | request body | 2 MB with [`Keyed`]; 1 MiB with the layer | axum's `DefaultBodyLimit`; `max_request_size` |
//! | response body that is kept | no limit with `Keyed`; 1 MiB with the layer | `max_response_size` |
//! | lifetime of an answer | 24 h | `lifetime` |
//! | lease | 30 s | `lease` |
//! | one call to the store of leases | 2 s | `store_timeout` |
//!
//! A larger response is given whole, while it comes, and a tombstone is kept: a repeated request is
//! 410. A response is held in memory up to the limit before its first byte is sent, so do not put
//! streams of events behind the layer. Trailers are dropped.
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The process dies before its commit. | The key is free; the retry makes the effect. |
//! | The answer to a commit is lost. | [`Keyed::run`] begins again, and finds the answer or makes the effect. |
//! | A transaction is dropped without a rollback (PostgreSQL). | Its key is 409 until the driver has rolled it back, a moment later. |
//! | A client keeps a transaction open (PostgreSQL). | Its key is 409 until the server ends the transaction, after `idle_in_transaction_timeout`. |
//! | A holder of a lease dies. | Its key is 409 until the lease has ended; then the retry asks for the effect again. |
//! | A holder stands still past its lease. | Another one takes over. The former one's answer is refused, and its client is told 409. |
//! | Redis does not answer to `begin`. | 503, and the handler did not run. If the call had arrived, the key is 409 until the lease has ended. |
//! | Redis goes away while the handler runs. | The answer is kept once Redis is back, if that is before the lease has ended; else 503, and the retry asks again. |
//! | Redis restarts empty. | Holders are refused, new tokens are higher than all before, and answers given before are forgotten. |
//! | `maxmemory-policy` is not `noeviction`. | [`Error::Evicting`] at `open`. |
//! | A handler panics, or answers 5xx, 408, 409, 425 or 429 (layer). | Nothing is kept, and the key is free. |
//! | No [`Sweeper`] runs. | Expired records stay in the table and are ignored. |
//! | A wall clock jumps. | Records expire by the database's clock, on SQLite by the host's. Leases in memory count on the monotonic clock, in Redis on the server's. |
//!
//! # Schema
//!
//! | table | rows |
//! |---|---|
//! | `idempotency_records` | one answer per tenant, operation and key, with its fingerprint and when it expires |
//! | `idempotency_schema` | the schema's version |
//!
//! The builder's `namespace` puts them under a prefix, and on PostgreSQL into a schema. `open`
//! migrates. A service that runs migrations itself takes `postgres::MIGRATIONS` or
//! `sqlite::MIGRATIONS` and calls `open_without_migrating`. `postgres::roles` is the SQL of a role
//! with the least privileges. Headers and bodies are stored as they are: a login that may read the
//! table may read the answers.
//!
//! In Redis each key is one hash, `idempotency:<length>:<tenant>:<length>:<operation>:<key>`, which
//! expires.
//!
//! # Metrics
//!
//! | name | kind | unit |
//! |---|---|---|
//! | `mainstay_idempotency_requests` | counter; `outcome` = `fresh`, `replayed`, `running`, `mismatch` | requests through `Keyed::run`, the layer or `Operations` |
//! | `mainstay_idempotency_swept` | counter | records |
//!
//! # Features
//!
//! | feature | what it adds | needs |
//! |---|---|---|
//! | `memory` (default) | records in the in-memory database; leases in memory | |
//! | `sqlite` | records in a SQLite file | sqlx 0.9, re-exported; its `runtime-tokio` feature |
//! | `postgres` | records in PostgreSQL 14 or newer | sqlx 0.9, re-exported; its `runtime-tokio` feature and a TLS feature if you use TLS |
//! | `redis` | leases in Redis 6.2 or newer | the `redis` crate 1, re-exported as `redis::driver`; a TLS feature if you use TLS |
//! | `axum` | HTTP: [`Keyed`], [`IdempotencyLayer`] | axum 0.8 |
//! | `conformance` | the contract of both roles as public tests, for stores of your own | |
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod answer;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod builder;
mod claim;
mod error;
#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
mod found;
mod key;
mod leases;
#[cfg(any(
    feature = "memory",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
mod lifetime;
mod operations;
#[cfg(all(doctest, feature = "axum", feature = "redis", feature = "sqlite"))]
mod readme;
mod records;
mod request;
pub mod store;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod stored;
mod sweep;
mod telemetry;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "axum")]
pub mod http;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use answer::Answer;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use builder::RecordsBuilder;
pub use claim::{Begun, Claim, FencingToken, Lease, Settled};
pub use error::Error;
#[cfg(feature = "axum")]
pub use http::{IdempotencyLayer, Keyed};
pub use key::{InvalidKey, Key, Scope};
pub use leases::Leases;
#[cfg(feature = "memory")]
pub use memory::{MemoryLeases, MemoryRecords};
pub use operations::{OperationError, Operations, Outcome};
#[cfg(feature = "postgres")]
pub use postgres::PostgresRecords;
pub use records::Records;
#[cfg(feature = "redis")]
pub use redis::RedisLeases;
pub use request::{Fingerprint, KeyedRequest};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteRecords;
pub use sweep::{Status, Sweeper, SweeperHandle};

pub use mainstay_clock as clock;
pub use mainstay_database as database;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;
