//! The microservice chassis of the commerce application: database, outbox, inbox, dead letter queue,
//! sagas and streams of a service, problem details, and background rounds.
//!
//! The module `db` chooses the database once, as a type, and the module `broker` the broker. [`ServiceBuilder::open`] opens a service's
//! database. The service adds its handlers and rounds, and becomes a [`Service`]: a router and the
//! tasks behind it.

mod authentication;
mod broker;
mod business;
mod caller;
mod db;
mod deployment;
mod dlq_document;
mod error;
mod health;
mod leading;
mod leases;
mod log_binding;
mod openapi;
mod operators;
mod path_param;
mod problem;
mod rate_limit;
mod remote;
mod request;
mod rounds;
mod saga_watch;
mod service;
mod service_builder;
mod steps;
mod timestamp;
mod tokens;
mod trace;
mod webhook;

pub use authentication::{Access, Authentication, send_as};
pub use broker::{Log, LogContents, LogPartition, LogProgress, LogRecord};
pub use caller::Caller;
pub use db::{
    ANSWERS_KEPT, Connection, Db, DeadLetters, Desk, FileSnapshot, Inbox, ON_A_SERVER,
    OpenTransaction, Outbox, Pool, Records, Sagas, Snapshot, Storage, StorageSettings, Streams,
    sql,
};
pub use deployment::Deployment;
pub use dlq_document::dead_letter_routes;
pub use error::{Error, Result};
pub use health::{Health, HealthCheck};
pub use leading::{LedRound, Term};
pub use leases::{Leases, call_leases};
pub use log_binding::{LogBinding, check_log};
pub use openapi::{OpenApiRouter, Refused, any_json, merged, needs_token, routes, utoipa};
pub use operators::Operators;
pub use path_param::PathParam;
pub use problem::Problem;
pub use rate_limit::{LocalRateLimits, RateLimits, Uncounted};
pub use remote::Remote;
pub use request::{JsonBody, QueryParams};
pub use rounds::{Progress, Round};
pub use service::{Service, Task};
pub use service_builder::{Participant, ServiceBuilder};
pub use timestamp::{from_rfc3339, rfc3339};
pub use tokens::{Claims, KeySet, Refusal, SigningKey};
pub use trace::{request_span, trace_spans, traceparent};
pub use webhook::{Signatures, Signed, WebhookSecret, WebhookSecrets};
