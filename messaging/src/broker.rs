//! What the author of a broker needs, and engines that drive one.
//!
//! Implement [`Publisher`] and [`Consumer`], and run the crate's conformance suite (feature
//! `conformance`) against them, both together or one alone. [`PrefixRule`] keeps the order that
//! [`Publisher::publish`] promises; [`partitioner`] chooses partitions as Kafka's clients do;
//! [`envelope`](crate::envelope) and [`cloudevents`](crate::cloudevents) write messages.

#[cfg(any(feature = "kafka", feature = "memory", feature = "sqlite"))]
pub(crate) mod builder;
#[cfg(any(feature = "memory", feature = "sqlite"))]
pub(crate) mod lease;
pub mod partitioner;
mod prefix;

pub use crate::{
    consumer::{Assignment, Consumer, ConsumerEvent, Content, Delivery, Partition, Position, Raw},
    publisher::{PublishOutcome, Publisher},
};
#[cfg(any(feature = "kafka", feature = "memory", feature = "sqlite"))]
pub use builder::ConsumerBuilder;
pub use prefix::PrefixRule;
