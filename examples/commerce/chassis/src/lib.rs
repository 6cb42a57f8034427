//! The microservice chassis of the commerce application: database, outbox, inbox, dead letter queue,
//! sagas and streams of a service, problem details, and background rounds.
//!
//! The module `db` chooses the database once, as a type, and the module `broker` the broker. [`ServiceBuilder::open`] opens a service's
//! database. The service adds its handlers and rounds, and becomes a [`Service`]: a router and the
//! tasks behind it.

mod broker;
mod db;
mod deployment;
mod error;
mod health;
mod leading;
mod leases;
mod log_binding;
mod operators;
mod path_param;
mod problem;
mod remote;
mod rounds;
mod service;
mod service_builder;
mod timestamp;

#[cfg(feature = "fault-points")]
#[path = "crashing.rs"]
mod roles;
#[cfg(not(feature = "fault-points"))]
#[path = "plain.rs"]
mod roles;

pub use broker::{Log, LogContents, LogPartition, LogRecord};
pub use db::{
    ANSWERS_KEPT, Connection, Db, DeadLetters, Desk, FileSnapshot, Inbox, ON_A_SERVER,
    OpenTransaction, Outbox, Pool, Records, Sagas, Snapshot, Storage, StorageSettings, Streams,
    sql,
};
pub use deployment::Deployment;
pub use error::{Error, Result};
pub use health::{Health, HealthCheck};
pub use leading::{LedRound, Term};
pub use leases::{Leases, call_leases};
pub use log_binding::{LogBinding, check_log};
pub use operators::Operators;
pub use path_param::PathParam;
pub use problem::Problem;
pub use remote::Remote;
pub use roles::remote;
pub use rounds::{Progress, Round};
pub use service::{Service, Task};
pub use service_builder::{Participant, ServiceBuilder};
pub use timestamp::{from_rfc3339, rfc3339};
