//! Processes that die at every point of a request, and what others find when they go on.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests, and how much was tried belongs to the result"
)]
#![expect(clippy::future_not_send, reason = "they are awaited in tests")]
#![allow(dead_code, reason = "each store uses some of it")]

mod leases;
mod records;

use std::time::Duration;

use mainstay_idempotency::{Answer, KeyedRequest, Scope};

/// How long anything may take on a busy host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

fn request(key: &str) -> KeyedRequest {
    let scope = Scope::new("acme", "charge").unwrap();
    KeyedRequest::new(scope.key(key).unwrap(), "4200 cents")
}

fn answer(name: &str) -> Answer {
    Answer::new(201_u16, name.to_owned()).header("location", name)
}
