//! Tests of the simulation itself: that its hosts are struck as they should be, and that a seed is always the same run.

mod hosts;
mod idempotency;
mod seeds;
