//! Messages, events with versions, and durable partitioned brokers.

#[cfg(any(feature = "memory", feature = "sqlite"))]
mod assignment;
pub mod cloudevents;
mod consumer;
pub mod envelope;
mod error;
pub mod event;
mod headers;
#[cfg(any(feature = "memory", feature = "sqlite"))]
mod holdings;
#[cfg(feature = "memory")]
pub mod memory;
mod message;
mod name;
pub mod partitioner;
mod publisher;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use consumer::{
    Assignment, Consumer, Content, Delivery, Flow, Incoming, Partition, Position, Raw, StartAt,
};
pub use error::{Error, InvalidName};
pub use headers::Headers;
pub use message::Message;
pub use name::{Group, Key, Kind, MessageId, Source, Topic};
pub use publisher::{Publication, Publisher};
