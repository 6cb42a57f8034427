//! What every service of the commerce application stands on: its database, its outbox and inbox, the journal that
//! `commerce verify` reads, problem details, and background rounds.
//!
//! The database is chosen once, in `db`, as a type. A service is opened with [`Station::open`], registers its
//! handlers and rounds, and becomes a [`Service`]: a router and the tasks behind it.

mod bell;
mod belonging;
mod db;
mod deployment;
mod error;
mod group_commit;
mod health;
mod journal;
mod named;
mod problem;
mod remote;
mod rounds;
mod service;
mod station;
mod timestamp;

#[cfg(feature = "fault-points")]
#[path = "crashing.rs"]
mod roles;
#[cfg(not(feature = "fault-points"))]
#[path = "plain.rs"]
mod roles;

pub use bell::Bell;
pub use belonging::{Belonging, examine};
pub use db::{
    Connection, Db, FileLook, Look, ON_A_SERVER, OpenTransaction, Place, Pool, Storage, column,
    rows, sql,
};
pub use deployment::Deployment;
pub use error::{Error, Result};
pub use group_commit::{Batch, GroupCommit};
pub use health::{Health, Vitals};
pub use journal::{Aggregate, Cause, Effect, JOURNAL_MIGRATIONS, Journal};
pub use named::Named;
pub use problem::Problem;
pub use remote::Remote;
pub use roles::remote;
pub use rounds::{Progress, Round};
pub use service::{Service, Task};
pub use station::Station;
pub use timestamp::{from_rfc3339, rfc3339};
