//! The real binary: as people run it, as scripts run it, and as machines kill it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test suite: it waits by the host's clock and fails loudly"
)]

mod conditions;
mod customer;
mod damage;
mod flow;
mod ground;
mod input;
mod kill;
mod log;
mod outage;
mod process;
mod races;
mod server;
mod shop;
mod unreadable;
