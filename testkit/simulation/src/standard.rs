//! The scenario that tests mainstay itself, and campaigns of many seeds of it.
//!
//! Two writers, an outbox with up to four shards, two or three relays, a broker with three
//! partitions, and two workers with one effect per message. In half of the
//! seeds, workers have a dead letter queue with a replayer and an operator. At least 30 messages, and at least
//! three faults that take effect. [`run`] plays one seed, [`campaign`] many on several threads;
//! [`shrink`] finds the shortest plan of a failure, and [`corpus`] lists seeds that found bugs.

pub use crate::{
    campaign::{Tally, campaign, corpus},
    run::{Adapters, Report, Settings, planned, run},
    shrink::shrink,
};
