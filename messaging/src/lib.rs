//! Messages, events with versions, and durable partitioned brokers.
//!
//! Services that tell each other what happened need one idea of a message, of its order and of what "delivered"
//! means, whichever broker carries it. This crate has the [`Message`], the roles [`Publisher`] and [`Consumer`] with
//! contracts that a conformance suite checks, and two brokers that keep them with nothing else installed.
//!
//! # What is guaranteed
//!
//! | guaranteed | by |
//! |---|---|
//! | the acknowledged messages of one (topic, key) are a prefix of those given, in their order | [`Publisher::publish`] |
//! | an acknowledged message reaches every group of its topic, at least once | [`Consumer`] |
//! | messages of one (topic, key) are delivered in the order of the log | partitions by key |
//! | a committed offset never moves back, and a former holder of a partition cannot move it | epochs |
//! | a message decodes into today's event, whichever version wrote it, or is an error that keeps it | [`event`] |
//! | a message is the same before and after its way through an envelope or `CloudEvents` headers | [`envelope`], [`cloudevents`] |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | once: a lost answer, a rebalance or a crash deliver again | admit through `mainstay-inbox` |
//! | together with a database write | publish through `mainstay-outbox` |
//! | order between keys | put what must stay in order under one key |
//! | that a record is kept for ever | sweep and retention are yours; a group that comes too late stops loudly |
//!
//! # Quickstart
//!
//! ```
//! use mainstay_clock::{SystemClock, SystemIds};
//! use mainstay_messaging::{
//!     Consumer, Content, Group, ConsumerEvent, Key, Kind, Message, Position, Publisher, Source, StartAt, Topic,
//!     event::{self, Event}, memory::Broker,
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct OrderPlaced { order: String }
//! impl Event for OrderPlaced {
//!     const KIND: &'static str = "OrderPlaced";
//!     const VERSION: u32 = 1;
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = Broker::default();
//! let orders = Topic::from_static("orders");
//! broker.create_topic(&orders, 4).await?;
//!
//! let (clock, ids) = (SystemClock::new(), SystemIds::new());
//! let mut message = Message::new(Source::from_static("/shop"), orders.clone(), Kind::from_static("OrderPlaced"), "", &clock, &ids)
//!     .with_key(Key::new("order-7")?);
//! event::encode(&OrderPlaced { order: "order-7".into() }, &mut message)?;
//! for answer in broker.publisher().publish(&[message]).await {
//!     assert!(answer.is_acknowledged());
//! }
//!
//! let mut consumer = broker.consumer(Group::from_static("billing"), &[orders], StartAt::Earliest);
//! loop {
//!     match consumer.next().await? {
//!         ConsumerEvent::Deliveries(deliveries) => {
//!             let delivery = &deliveries[0];
//!             let Content::Message(message) = &delivery.content else { unreachable!("nobody else appends here") };
//!             assert_eq!(event::decode::<OrderPlaced>(message)?.order, "order-7");
//!             // Everything below this position is finished.
//!             let (partition, offset) = (delivery.position.partition.clone(), delivery.position.offset + 1);
//!             consumer.commit(&[Position { partition, offset }]).await?;
//!             break;
//!         }
//!         ConsumerEvent::Assigned(_) | ConsumerEvent::Lost(_) | ConsumerEvent::Recovered => {}
//!         ConsumerEvent::Revoked { partitions, .. } => consumer.release(&partitions).await?,
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! A topic is a number of partitions, each a log with ascending offsets. A message goes to the partition that
//! murmur2 of its key says, as Kafka's own clients choose it ([`partitioner`]); without a key its id decides. A group divides the
//! partitions of its topics among its members: every member holds a lease and renews it at a third by calling
//! [`Consumer::next`], which computes from the same table who should hold what. A partition that should move is
//! revoked first ([`ConsumerEvent::Revoked`]), finished and given back, and only then assigned elsewhere; other
//! partitions flow on. Each change of owner raises the partition's epoch, and a commit carries the epoch.
//!
//! The `memory` broker does all of this in one process, on an injected clock, with faults on demand. The `sqlite` broker does it
//! in one file for all processes of a host. Applications see the two roles only.
//!
//! # Failure modes
//!
//! | what fails | what you see | what happens |
//! |---|---|---|
//! | broker away, file busy | [`PublishOutcome::Unknown`], [`Error::Unavailable`] | call again; leases go on ending |
//! | message too large, topic unknown | [`PublishOutcome::Refused`] | its key stops in this call, others go on |
//! | answer lost | [`PublishOutcome::Unknown`] | publish again with the same id: consumers tell duplicates |
//! | member killed or stalled | nothing; then [`ConsumerEvent::Lost`] if it lives | its partitions move when the lease has ended; what it had not committed is delivered again |
//! | revocation not answered in time | [`ConsumerEvent::Lost`] | the partition is taken away |
//! | commit by a former holder | [`Error::NotAssigned`] | nothing moves there; the other positions are stored |
//! | record that is no message of ours, or of a newer format | [`Content::Raw`] | it is delivered in its place, with its bytes |
//! | event of an unknown version, or undecodable | [`event::DecodeError`] | the message is untouched: park it raw |
//! | records removed before they were read | [`Error::OffsetOutOfRange`] | the group stops until an operator decides |
//! | the file of `sqlite` replaced by another log, or a database started with one | nothing | groups begin anew, and what was on its way is gone: compare `sqlite::Broker::id` at each start |
//!
//! # Schema
//!
//! Only `sqlite` has one: `broker_records` (the log), `broker_partitions`, `broker_members`, `broker_claims` and
//! `broker_identity`, under a prefix of your choice, with its own version table; see `migrations/sqlite/`. The [`envelope`] column is JSON and
//! pinned by a golden test.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `memory` (default) | the broker in memory, for tests, simulations and one-process programs |
//! | `sqlite` | the durable broker in a SQLite file |
//! | `conformance` | the contract as tests, for brokers of your own |

#[cfg(any(feature = "memory", feature = "sqlite"))]
mod assignment;
pub mod broker;
pub mod cloudevents;
mod consumer;
pub mod envelope;
mod error;
pub mod event;
mod headers;
#[cfg(any(feature = "memory", feature = "sqlite"))]
mod holdings;
mod message;
mod name;
mod publisher;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

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
