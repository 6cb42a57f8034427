//! Real processes on a real server, the faults they meet, and what must hold afterwards.
//!
//! Writers, relays and workers are programs of their own, on PostgreSQL and on a broker in a SQLite file.
//! The tests kill, stop and cut them: `tests/it/postgres/` has a file per kind of fault.
//!
//! A [writer](role::Writer) counts up a row per key, inserts an entry with that number and enqueues an
//! event, in one transaction: the lock on the counter makes the numbers of a key those of its commits. A
//! [relay](role::Relay) publishes, and a [worker](role::Worker) inserts an effect per event.
//!
//! Afterwards the [history](mainstay_testkit::History) is read from where each of them wrote, and
//! [`mainstay_testkit::check::ALL`] must hold. Triggers note the owners of shards and partitions, removed
//! rows and stored offsets. Sections that only a simulation sees (sends, blocked keys) are empty.
#![allow(
    clippy::must_use_candidate,
    reason = "it is not published: its users change with it"
)]

mod entry;
mod failure;
pub mod role;

pub use entry::{Entered, GROUP, TOPIC, message, outbox};
pub use failure::Failure;
