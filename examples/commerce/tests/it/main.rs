//! Tests of the real binary: flows, settings, failures and kills.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test suite: it waits by the host's clock and fails loudly"
)]

mod conditions;
mod console;
mod customer;
mod damage;
mod dead_letters;
mod flow;
mod gateway;
mod holds;
mod input;
mod kafka;
mod keys;
mod kill;
mod log;
mod outage;
mod paths;
mod process;
mod races;
mod redis;
mod reset;
mod sagas;
mod sandbox;
mod scenarios;
mod server;
mod settings;
mod shop;
mod slow_clients;
#[cfg(feature = "otel")]
mod traces;
mod unreadable;
mod urls;
