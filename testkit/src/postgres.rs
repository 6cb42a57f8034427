//! PostgreSQL for tests.

mod answer;
mod binaries;
#[cfg(feature = "postgres")]
mod database;
mod instance;
mod old;
#[cfg(all(feature = "postgres", feature = "wire"))]
mod over_a_wire;
#[cfg(feature = "postgres")]
mod pooler;
#[cfg(feature = "postgres")]
mod private;
mod remains;
#[cfg(feature = "postgres")]
mod server;

pub use binaries::{BIN, Binaries, asked_for, install_pooler};
#[cfg(feature = "postgres")]
pub use database::TestDatabase;
pub use instance::{Instance, Options};
pub use old::OldServer;
#[cfg(feature = "postgres")]
pub use pooler::Pooler;
#[cfg(feature = "postgres")]
pub use private::PrivateServer;
pub use remains::{answers, remove, remove_abandoned, runs};
#[cfg(feature = "postgres")]
pub use server::Server;

/// Its name, as `MAINSTAY_REQUIRE` lists it.
pub const NAME: &str = "postgres";

/// Where the URL of a server stands that somebody else runs.
pub const URL: &str = "MAINSTAY_POSTGRES_URL";
