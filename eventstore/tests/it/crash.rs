//! Processes that die at every point of an append and of a rebuild, and what others find then.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, and how much was tried belongs to the result"
)]
#![allow(dead_code, reason = "each store uses some of it")]

mod appends;
mod rebuilds;

use std::time::Duration;

/// How long anything may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(120);
