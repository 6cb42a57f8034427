//! The conformance suite on every store, and what is specific to each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests, of which some features bring none"
)]

#[cfg(feature = "conformance")]
mod crash;
#[cfg(feature = "memory")]
mod guard;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(all(feature = "conformance", feature = "memory", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "conformance", feature = "memory", feature = "redis"))]
mod redis;
#[cfg(feature = "memory")]
mod simulation;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod stopped;
