//! Dead letter queues that keep the order of each key.
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod desk;
mod error;
mod fault;
mod letter;
mod queue;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod record;
mod replayer;
pub mod store;
mod topic;

#[cfg(feature = "http")]
pub mod http;

#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use desk::{Desk, Query, Signature};
pub use error::Error;
pub use letter::{BlockedKey, DeadLetter, DeadLetterId, State, UnknownState};
pub use queue::{DeadLetterQueue, DeadLetterQueueBuilder, StoreOf};
pub use replayer::{DryRun, Replayer, ReplayerHandle, Status};
pub use topic::DeadLetterTopic;

pub use mainstay_clock as clock;
pub use mainstay_database as database;
pub use mainstay_inbox as inbox;
pub use mainstay_messaging as messaging;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;
