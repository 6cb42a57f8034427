//! Time, ids and randomness, injected.
//!
//! An engine that asks the operating system for the time cannot be tested at the moment a lease
//! ends, and a failed run cannot be repeated. Every mainstay engine takes a [`Clock`] and an
//! [`IdGenerator`] instead. A simulation injects [`TokioClock`] and [`SeededIds`]; everyone else
//! gets [`SystemClock`] and [`SystemIds`] by default.
//!
//! **Guarantee:** one seed gives one sequence of ids, and a lease ends on time even if the host was
//! suspended.
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
//! # Guarantees
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | [`Clock::monotonic`] never goes back, and continues while the host is suspended. | `CLOCK_BOOTTIME` on Linux and Android. |
//! | Two processes of one host can compare their readings until the host reboots. | Each carries the [boot id](Clock::boot_id). |
//! | Ids of [`SystemIds`] ascend within a process. | UUIDv7. |
//! | One seed gives one sequence of ids and random numbers, on every platform. | `SplitMix64`, tested with its published vector. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | That [`Clock::now`] goes forward, or agrees with another host. | Use it for timestamps, never for a lease. |
//! | That random numbers are secret. | Do not make tokens of them. |
//!
//! # How it works
//!
//! | question | ask | why |
//! |---|---|---|
//! | When did it happen? | [`Clock::now`] | A wall clock that people can read. It may jump. |
//! | How long until the lease ends? | [`Clock::monotonic`] | Never jumps, and counts the time spent suspended. |
//! | How long until the next attempt? | [`Backoff`] | Grows, has a bound, and spreads callers that failed together. |
//!
//! The store that holds a shared lease decides it by its own clock (the database, Redis), never by
//! a node's wall clock. SQLite has no clock: its processes share one host, so they share
//! [`Clock::monotonic`] together with [`Clock::boot_id`].
//!
//! This crate is the only caller of `now()` in the workspace. A clippy lint keeps it so.
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | The wall clock is set. | Timestamps jump. Leases do not. |
//! | The host sleeps. | Leases end on time, even on the machine that slept. |
//! | The host reboots. | The boot id differs: every lease of the old boot has ended. |
//! | The wall clock is set on a system without a boot id (not Linux). | Leases may end early, which costs a change of owner. |
//!
//! # Schema
//!
//! None. Other crates store [`Monotonic::as_micros`].
//!
//! # Features
//!
//! None.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

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
