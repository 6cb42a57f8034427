//! The conformance suite on every broker, and what is particular to each.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod builder;
mod events;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(feature = "memory")]
mod roles;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
