//! Idempotency keys.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod answer;
#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
mod builder;
mod claim;
mod error;
#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
mod found;
mod key;
mod records;
mod request;
pub mod store;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod stored;
mod sweep;
#[cfg(feature = "axum")]
mod telemetry;

#[cfg(feature = "axum")]
pub mod http;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use answer::Answer;
#[cfg(any(feature = "memory", feature = "postgres", feature = "sqlite"))]
pub use builder::RecordsBuilder;
pub use claim::{Begun, Claim, FencingToken, Lease, Settled};
pub use error::Error;
#[cfg(feature = "axum")]
pub use http::Keyed;
pub use key::{InvalidKey, Key, Scope};
#[cfg(feature = "memory")]
pub use memory::MemoryRecords;
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
