//! Distributed locks with fencing tokens.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod error;
mod fences;
mod guard;
mod leader;
mod locks;
mod name;
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
pub use leader::Leader;
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
