//! Transactional outbox.

mod doorbell;
mod entry;
mod error;
mod outbox;
mod relay;
mod round;
mod shard;
mod status;
mod store;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use doorbell::Doorbell;
pub use entry::{EnqueueKey, Enqueued, Entry};
pub use error::Error;
pub use outbox::Outbox;
pub use relay::Relay;
pub use shard::{HASH, shard_of};
pub use status::{Activity, Status};
pub use store::{Content, Fetched, Hold, Limit, Outcome, Place, RelayStore, Row, Stop};
