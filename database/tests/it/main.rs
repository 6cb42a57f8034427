//! The conformance suite on every database, and what is particular to each.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[cfg(feature = "memory")]
mod memory;
