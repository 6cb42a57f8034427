//! Time, ids and randomness, injected.
//!
//! Every mainstay engine takes a [`Clock`] and an [`IdGenerator`] in its constructor instead of
//! asking the operating system. A simulation hands in [`TokioClock`] and [`SeededIds`] and gets the
//! same run from the same seed; everybody else uses [`SystemClock`] and [`SystemIds`] and never
//! notices. This crate is the only caller of `now()` in the workspace; clippy keeps it so.
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
//! # Two clocks, two uses
//!
//! | question | ask | why |
//! |---|---|---|
//! | when did it happen? | [`Clock::now`] | a wall clock people can read; may jump |
//! | how long until the lease ends? | [`Clock::monotonic`] | never jumps, and counts time spent suspended |
//!
//! A lease that is shared between processes is decided by the clock of the store that holds it
//! (the database, Redis), never by a node's wall clock. SQLite has no clock of its own: its
//! processes share one host, so they share [`Clock::monotonic`] together with [`Clock::boot_id`].

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
