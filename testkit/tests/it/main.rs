//! The checkers, on histories made by hand; servers and databases for tests, on real ones.
#![expect(clippy::unwrap_used, reason = "test suite")]

mod check;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
