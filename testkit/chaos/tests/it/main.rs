//! Scenarios: processes on a server, a fault, and what must hold afterwards.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::future_not_send,
    reason = "test suite"
)]

mod postgres;
mod stage;
