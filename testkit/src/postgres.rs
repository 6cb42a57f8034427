//! PostgreSQL for tests.

mod answer;
mod binaries;
#[cfg(feature = "postgres")]
mod database;
mod instance;
mod remains;
#[cfg(feature = "postgres")]
mod server;

pub use binaries::Binaries;
#[cfg(feature = "postgres")]
pub use database::TestDatabase;
pub use instance::{Instance, Options};
pub use remains::{answers, remove, runs};
#[cfg(feature = "postgres")]
pub use server::Server;

/// Where the URL of a server stands that somebody else runs.
pub const URL: &str = "MAINSTAY_POSTGRES_URL";
