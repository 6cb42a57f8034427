//! Time, ids and randomness, injected.
//!
//! An engine that asks the operating system for the time cannot be tested at the moment a lease ends, and a run that
//! failed cannot be run again. Every mainstay engine takes a [`Clock`] and an [`IdGenerator`] in its constructor instead:
//! a simulation hands in [`TokioClock`] and [`SeededIds`] and gets the same run from the same seed; everybody else
//! uses [`SystemClock`] and [`SystemIds`] and never notices.
//!
//! # What is guaranteed
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | [`Clock::monotonic`] never goes back, and goes on while the host is suspended. | `CLOCK_BOOTTIME` on Linux and Android. |
//! | Readings of two processes of one boot of one host can be compared. | The boot's [id](Clock::boot_id) goes with them. |
//! | Ids of [`SystemIds`] ascend within a process. | UUIDv7. |
//! | One seed, one sequence of ids and random numbers, on every platform. | `SplitMix64`, with its published vector as a test. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | That [`Clock::now`] goes forward, or agrees with another host. | Use it for timestamps only, never for a lease. |
//! | That random numbers are secret. | Do not make tokens of them. |
//!
//! # Quickstart
//!
//! ```
//! use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
//! use std::time::Duration;
//!
//! let clock = SystemClock::new();
//! let lease_ends = clock.monotonic() + Duration::from_secs(5);
//! assert!(lease_ends.remaining_at(clock.monotonic()) > Duration::from_secs(4));
//!
//! let ids = SystemIds::new();
//! assert_ne!(ids.uuid(), ids.uuid());
//! ```
//!
//! # How it works
//!
//! | question | ask | why |
//! |---|---|---|
//! | when did it happen? | [`Clock::now`] | a wall clock people can read; may jump |
//! | how long until the lease ends? | [`Clock::monotonic`] | never jumps, and counts time spent suspended |
//! | how long until the next attempt? | [`Backoff`] | grows, has a bound, and spreads those who failed together |
//!
//! A lease that is shared between processes is decided by the clock of the store that holds it
//! (the database, Redis), never by a node's wall clock. SQLite has no clock of its own: its
//! processes share one host, so they share [`Clock::monotonic`] together with [`Clock::boot_id`].
//!
//! This crate is the only caller of `now()` in the workspace; clippy keeps it so.
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The wall clock is set. | Timestamps jump; leases do not. |
//! | The host sleeps. | Leases end on time, on the machine that slept as well. |
//! | The host boots anew. | The boot id differs: every lease of the old boot has ended. |
//! | The wall clock is set on a system without a boot id of its own (not Linux). | Leases may end early, which costs a change of owner. |
//!
//! # Schema
//!
//! None. [`Monotonic::as_micros`] is what other crates store.
//!
//! # Features
//!
//! None.

mod backoff;
mod clock;
mod ids;
mod monotonic;
mod system;
mod tokio_clock;

pub use backoff::Backoff;
pub use clock::{BootId, Clock};
pub use ids::{IdGenerator, SeededIds, SystemIds};
pub use monotonic::Monotonic;
pub use system::SystemClock;
pub use tokio_clock::TokioClock;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
