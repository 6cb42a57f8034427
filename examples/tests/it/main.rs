//! The programs, as processes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod idempotency;
