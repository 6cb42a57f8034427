//! Apache Kafka: a real cluster or, where there is none, the one that librdkafka mocks.

mod compacted;
mod errors;
mod fixture;
mod foreign;
pub(crate) mod mock;
mod protocols;
mod publishing;
mod reading;
mod real;
mod security;
