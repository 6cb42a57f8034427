//! Messages, versioned events, and partitioned brokers with consumer groups.
//!
//! Services that exchange events must agree on what a message is, on its order, and on what
//! "delivered" means, whichever broker carries it. This crate has the [`Message`], the roles
//! [`Publisher`] and [`Consumer`] with contracts that a conformance suite checks, two brokers that
//! need no server, and Apache Kafka.
//!
//! **Guarantee:** at-least-once delivery, in order per (topic, key).
//!
//! # Quickstart
//!
//! ```
//! # #[cfg(not(feature = "memory"))] fn main() {}
//! # #[cfg(feature = "memory")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mainstay_messaging::{Consumer, Event, Message, Publisher, memory::Broker};
//! use mainstay_messaging::{broker::ConsumerEvent, event::decode};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Debug)]
//! struct OrderPlaced { id: String }
//!
//! impl Event for OrderPlaced {
//!     const TOPIC: &'static str = "orders";
//!     const KIND: &'static str = "OrderPlaced";
//!     fn key(&self) -> Option<std::borrow::Cow<'_, str>> { Some(self.id.as_str().into()) } // order per id
//! }
//!
//! let broker = Broker::new();
//! broker.create_topic("orders", 4).await?; // one that exists stays as it is
//!
//! let event = OrderPlaced { id: "17".into() };
//! let message = Message::builder().source("/orders").event(&event).build()?;
//! for outcome in broker.publisher().publish(&[message]).await {
//!     assert!(outcome.is_acknowledged());
//! }
//!
//! let mut consumer = broker.consumer("billing").subscribe(["orders"]).await?;
//! loop {
//!     match consumer.next().await? {
//!         ConsumerEvent::Deliveries(deliveries) => {
//!             let message = deliveries[0].content.message().ok_or("a foreign record")?;
//!             println!("{:?}", decode::<OrderPlaced>(message)?);
//!             consumer.commit(&[deliveries[0].position.next()]).await?; // all below is finished
//!             break;
//!         }
//!         ConsumerEvent::Revoked { partitions, .. } => consumer.release(&partitions).await?,
//!         ConsumerEvent::Assigned(_) | ConsumerEvent::Lost(_) | ConsumerEvent::Recovered => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! Most services do not call these roles: the relay of `mainstay-outbox` publishes, and the worker
//! of `mainstay-inbox` consumes, retries and skips duplicates.
//!
//! # Guarantees
//!
//! | guaranteed | by |
//! |---|---|
//! | Per (topic, key), the acknowledged messages of a call are a prefix of those given, in their order. | [`Publisher::publish`] |
//! | An acknowledged message reaches every group of its topic, at least once. | [`Consumer`] |
//! | Messages of one (topic, key) are delivered in the order of the log. | Partitions by key. |
//! | A committed offset never moves back, and a former owner of a partition cannot move it. | A commit carries the epoch of its assignment. |
//! | A message of an older version decodes into the current event, with all digits of its numbers. Otherwise decoding fails, and the message stays intact. | [`event`] |
//! | A message is the same before and after its way through an envelope or `CloudEvents` headers, even if an older build is on the way. | [`envelope`], [`cloudevents`] |
//! | A group that starts at the latest record reads everything that comes after it has joined, topics created later included. | [`StartAt::Latest`] |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | Exactly-once delivery: a lost answer, a rebalance or a crash delivers a message again. | Make the consumer idempotent: `mainstay-inbox` skips duplicates. |
//! | A message and a database write together (the dual-write problem). | Publish through `mainstay-outbox`. |
//! | An order between keys. | Give one key to messages that must stay in order. |
//! | That a record is kept for ever. | Choose how long to keep records: [`prune`](sqlite::Broker::prune), or the retention of Kafka's topics. |
//!
//! # How it works
//!
//! A topic has a fixed number of partitions. Each is a log with ascending offsets. The key of a
//! message decides on its partition, by murmur2 as Kafka's clients choose it
//! ([`partitioner`](broker::partitioner)); without a key, its id decides.
//!
//! A consumer group divides the partitions of its topics among its members. Every member holds a
//! lease, which [`Consumer::next`] renews. When members come or go, the group rebalances
//! cooperatively:
//!
//! 1. A partition that is to move is revoked: [`Revoked`](broker::ConsumerEvent::Revoked).
//! 2. Its owner finishes, commits and releases it. Other partitions continue.
//! 3. Another member gets it: [`Assigned`](broker::ConsumerEvent::Assigned). Its epoch grows, and
//!    commits with an older epoch are refused.
//!
//! | broker | for | survives |
//! |---|---|---|
//! | [`memory`] | tests, simulations, programs of one process; with faults on demand | nothing |
//! | [`sqlite`] | all processes of one host, in one file | crashes and power loss |
//! | [`kafka`] | many hosts | the loss of nodes, as far as topics are replicated |
//!
//! # Failure modes
//!
//! | what fails | what you see | what happens |
//! |---|---|---|
//! | The broker is away, the file is busy. | [`PublishOutcome::Unknown`], [`Error::Unavailable`] | Call again. Leases go on ending. |
//! | A message is too large, its topic unknown. | [`PublishOutcome::Refused`] | Later messages of its key are not tried in this call. Others are. |
//! | An answer is lost. | [`PublishOutcome::Unknown`] | Publish again with the same id: consumers recognise duplicates. |
//! | A member is killed or stalls. | Nothing; then [`ConsumerEvent::Lost`] if it lives. | Its partitions move when its lease has ended. Uncommitted records are delivered again. |
//! | A revocation is not answered in time. | [`ConsumerEvent::Lost`] | The partition moves. |
//! | A former owner commits. | [`Error::NotAssigned`] | Its offset does not move. The other positions are stored. |
//! | A record is no message, or of a newer format. | [`Content::Raw`] | It is delivered in its place, with its bytes. |
//! | An event has an unknown version or does not decode. | [`event::DecodeError`] | The message is intact: dead-letter it. |
//! | A value lies outside its limits: a name, a version, a number of partitions. | [`Error::InvalidName`], [`Error::OutOfLimits`] | Nothing is stored. The text names the limit. |
//! | Records were removed before they were read. | [`Error::OffsetOutOfRange`] | The group stops until an operator resets its offset. |
//! | The file of `sqlite` was replaced by another log. | Nothing. | Groups begin anew, and messages on their way are gone. Compare [`sqlite::Broker::id`] at each start. |
//!
//! # Schema
//!
//! Of the brokers, only `sqlite` has tables, under a prefix of your choice. [`sqlite::MIGRATIONS`] is their text.
//!
//! | table | rows |
//! |---|---|
//! | `broker_records` | the log; the [`envelope`] column is JSON |
//! | `broker_partitions` | partitions of each topic, with their first and next offset |
//! | `broker_members` | living members of groups and their leases |
//! | `broker_claims` | owner, epoch and committed offset of each partition of each group |
//! | `broker_subscriptions` | topics that each group has subscribed to |
//! | `broker_identity` | the id of the log |
//! | `broker_schema` | applied migrations |
//!
//! # Features
//!
//! | feature | what it adds | what it needs |
//! |---|---|---|
//! | `memory` (default) | the broker in memory | |
//! | `sqlite` | the broker in a SQLite file | sqlx 0.9 with its `runtime-tokio` feature |
//! | `kafka` | Apache Kafka | a C compiler and make, for librdkafka |
//! | `kafka-tls` | TLS and SASL/SCRAM on the way to Kafka | OpenSSL with its headers |
//! | `conformance` | the contract as tests, for brokers of your own: [`conformance!`] | |
//!
//! [`PublishOutcome::Unknown`]: broker::PublishOutcome::Unknown
//! [`PublishOutcome::Refused`]: broker::PublishOutcome::Refused
//! [`ConsumerEvent::Lost`]: broker::ConsumerEvent::Lost
//! [`Content::Raw`]: broker::Content::Raw
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[cfg(any(feature = "memory", feature = "sqlite"))]
mod assignment;
pub mod broker;
mod cause;
pub mod cloudevents;
mod consumer;
pub mod envelope;
mod error;
pub mod event;
mod headers;
#[cfg(any(feature = "kafka", feature = "memory", feature = "sqlite"))]
mod holdings;
mod message;
mod name;
mod publisher;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use cause::Cause;
pub use consumer::{Consumer, Delivery, Partition, Position, StartAt};
pub use error::{Error, InvalidName};
pub use event::Event;
pub use headers::Headers;
pub use message::{Message, MessageBuilder};
pub use name::{Group, Key, Kind, MessageId, Source, Topic};
pub use publisher::Publisher;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
