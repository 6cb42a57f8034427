//! Real processes on a real server, what is done to them, and what must hold afterwards.
//!
//! A suite within one process shows what a library does when a call fails. It does not show what is left when the process
//! is gone, when it comes back after its lease, or when the server was away in between. Here writers, relays and workers
//! are programs of their own, on PostgreSQL and on a broker in a SQLite file, and the tests kill, stop and cut them.
//!
//! # What is tried
//!
//! The tests are the list: `tests/it/postgres/`, one file per kind of fault, one test per scenario. See the README.
//!
//! # What must hold
//!
//! [`mainstay_testkit::check::ALL`], with each process and each file taken for what it is: sections of the history that only a
//! simulation sees (sends, stops, removals) are left empty here, and their checkers have nothing to say.
//! [`mainstay_testkit::check::each_published_once`] is for runs without a fault that allows for repetition.
//!
//! # How it works
//!
//! A [writer](role::Writer) counts up a row per key, inserts an entry with that number and enqueues an event about it, in
//! one transaction; the lock on the counter makes the order of commits per key that of the numbers. A
//! [relay](role::Relay) publishes, and a [worker](role::Worker) inserts an effect per event. Afterwards the [history](mainstay_testkit::History)
//! is read from where each of them wrote, and the checkers judge it: they know neither processes nor databases.
//!
//! Which relay owned what, and who removed rows, is written down by triggers on the outbox's own tables; which worker owned what,
//! and which offsets it stored, by one on the broker's.
#![allow(
    clippy::must_use_candidate,
    reason = "it is not published: its users change with it"
)]

mod entry;
mod failure;
pub mod role;

pub use entry::{Entered, GROUP, TOPIC, message, outbox};
pub use failure::Failure;
