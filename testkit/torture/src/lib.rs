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
//! | invariant | who says so |
//! |---|---|
//! | What was committed was published, and its effect is made. | [`check::nothing_lost`] |
//! | What was published or has an effect was committed. | [`check::no_phantom`] |
//! | First deliveries of a key come in the order of its commits. | [`check::first_deliveries_in_commit_order`] |
//! | Effects are made once, per key in order. | [`check::effects_once_in_order`] |
//! | The outbox is empty once everything has healed. | [`check::outbox_drained`] |
//! | The fence of a shard rises with each owner. | [`check::fences_rise`] |
//! | A relay that lost its shard removes nothing any more. | [`check::removals_by_owners`] |
//!
//! [`check::each_published_once`] is for runs without a fault that allows for repetition.
//!
//! # How it works
//!
//! A [writer](role::Writer) counts up a row per key, inserts an entry with that number and enqueues an event about it, in
//! one transaction; the lock on the counter makes the order of commits per key that of the numbers. A
//! [relay](role::Relay) publishes, and a [worker](role::Worker) inserts an effect per event. Afterwards the [`History`]
//! is read from where each of them wrote, and the checkers judge it: they know neither processes nor databases.
//!
//! Which relay owned what, and who removed rows, is written down by triggers on the outbox's own tables.

pub mod check;
mod crew;
mod failure;
mod history;
mod ledger;
pub mod role;

pub use crew::Actor;
pub use failure::Failure;
pub use history::{Entry, History, Ownership};
pub use ledger::{Entered, GROUP, Ledger, TOPIC, message, published};
