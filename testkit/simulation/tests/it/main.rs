//! Tests of the simulation itself: faults take effect, and a seed repeats its run.

mod hosts;
mod idempotency;
mod seeds;
