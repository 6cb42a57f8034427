//! Messages, events with versions, and durable partitioned brokers.

mod consumer;
mod error;
mod headers;
mod message;
mod name;
mod publisher;

pub use consumer::{
    Assignment, Consumer, Content, Delivery, Flow, Incoming, Partition, Position, Raw, StartAt,
};
pub use error::{Error, InvalidName};
pub use headers::Headers;
pub use message::Message;
pub use name::{Group, Key, Kind, MessageId, Source, Topic};
pub use publisher::{Publication, Publisher};
