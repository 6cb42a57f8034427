//! The conformance suite on every store, and what is particular to each.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod memory;
mod postgres;
mod sim;
mod sqlite;
