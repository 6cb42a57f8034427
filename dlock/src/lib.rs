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

#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;

pub use error::Error;
pub use fences::Fences;
pub use guard::Guard;
pub use leader::Leader;
pub use locks::{Locks, LocksBuilder};
#[cfg(feature = "memory")]
pub use memory::{MemoryFences, MemoryLeases};
#[cfg(feature = "redis")]
pub use redis::RedisLeases;
pub use token::FencingToken;

pub use mainstay_clock as clock;
pub use mainstay_database as database;
