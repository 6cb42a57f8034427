//! Chaos tests: real processes on a real server, killed, suspended and cut off.
//!
//! A suite within one process shows what a library does when a call fails. It does not show what
//! remains when the process is gone, when it goes on after its lease, or when the server was away.
//! Here writers, relays and workers are programs of their own, on PostgreSQL and on a broker in a
//! SQLite file.
//!
//! # Scenarios
//!
//! `tests/it/postgres/` has one file per kind of fault and one test per scenario. The README lists
//! them.
//!
//! # What must hold
//!
//! [`mainstay_testkit::check::ALL`]. Sections of the history that only a simulation sees (sends,
//! blocked keys, removals) stay empty. [`mainstay_testkit::check::each_published_once`] is for runs
//! whose fault allows no repetition.
//!
//! # How it works
//!
//! A [writer](role::Writer) increments the counter of a key, inserts an entry with that number and
//! enqueues an event about it, in one transaction. The lock on the counter makes the order of numbers
//! that of commits. A [relay](role::Relay) publishes, and a [worker](role::Worker) inserts one effect
//! per event. Afterwards the [history](mainstay_testkit::History) is read from the tables and the log.
//!
//! Triggers on the outbox's tables record the owners of shards and the removal of rows. A trigger on
//! the broker's tables records the owners of partitions and the stored offsets.
#![allow(
    clippy::must_use_candidate,
    reason = "it is not published: its users change with it"
)]

mod entry;
mod failure;
pub mod role;

pub use entry::{Entered, GROUP, TOPIC, message, outbox};
pub use failure::Failure;
