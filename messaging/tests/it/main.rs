//! The conformance suite on every broker, and what is particular to each.
#![expect(clippy::unwrap_used, reason = "tests")]

mod memory;
mod sqlite;
