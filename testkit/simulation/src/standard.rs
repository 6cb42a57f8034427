//! The scenario that tests mainstay itself, and campaigns of many seeds of it.
//!
//! In three quarters of the seeds it is a shop: two writers, an outbox with up to four shards, two or
//! three relays, a broker with three partitions, and two workers with one effect per message. In half
//! of these, workers have a dead letter queue with a replayer and an operator.
//!
//! In the others it is sagas: two writers that start runs, two relays, two hosts with an orchestrator
//! and its timers, two with a participant, and an operator. Commands are refused, for good or for now,
//! answered late, or answered with what cannot be read; runs time out and are cancelled.
//!
//! At least 30 messages, and at least three faults that take effect. [`run`] plays one seed,
//! [`campaign`] many on several threads; [`shrink`] finds the shortest plan of a failure, and
//! [`corpus`] lists seeds that found bugs.

pub use crate::{
    campaign::{Tally, campaign, corpus},
    run::{Adapters, Report, Settings, planned, run},
    shrink::shrink,
};
