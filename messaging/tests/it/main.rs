//! The conformance suite on every broker, and what is particular to each.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod events;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
