//! The effect of a message happens once.

mod error;
mod handlers;
mod identity;
mod inbox;
mod parking;
mod retention;
mod status;
mod worker;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use error::Error;
pub use handlers::{BatchFn, HandlerError, HandlerFn, Handlers, Received};
pub use identity::Identity;
pub use inbox::{Admission, Inbox};
pub use parking::{Failure, FailureKind, Parked, Parking, StopKey};
pub use retention::{MarkRetention, Swept};
pub use status::{PartitionStatus, Status, StoppedKey};
pub use worker::Worker;
