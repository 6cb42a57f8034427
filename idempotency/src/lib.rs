//! Idempotency keys.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod answer;
#[cfg(any(
    feature = "memory",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
mod builder;
mod claim;
mod error;
#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
mod found;
mod key;
mod leases;
mod operations;
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

#[cfg(feature = "redis")]
pub use crate::redis::RedisLeases;
pub use answer::Answer;
#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
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
pub use request::{Fingerprint, KeyedRequest};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteRecords;
pub use sweep::{Status, Sweeper, SweeperHandle};

pub use mainstay_clock as clock;
pub use mainstay_database as database;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;
