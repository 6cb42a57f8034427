//! Servers and databases for tests, on real ones.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "test suite")]

mod postgres;
