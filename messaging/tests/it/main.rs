//! The conformance suite on every broker, and each one's own cases.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod builder;
mod durations;
mod events;
#[cfg(all(feature = "conformance", feature = "kafka"))]
mod kafka;
mod limits;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(feature = "memory")]
mod roles;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
