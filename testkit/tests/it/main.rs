//! Servers and databases for tests, on real ones.
#![expect(clippy::unwrap_used, reason = "test suite")]

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
