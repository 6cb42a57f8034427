//! What every mainstay pattern needs of a database, and nothing else.

mod error;
mod migrations;
mod namespace;
mod transactions;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use error::Error;
pub use migrations::{Migration, Migrations};
pub use namespace::{InvalidNamespace, Namespace};
pub use transactions::Transactions;
