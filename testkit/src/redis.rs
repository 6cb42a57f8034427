//! Redis for tests.

mod answer;
mod binaries;
mod instance;
#[cfg(feature = "redis")]
mod private;
mod remains;
mod server;

pub use binaries::{BIN, Binaries};
pub use instance::{Instance, Options};
#[cfg(feature = "redis")]
pub use private::PrivateServer;
pub use remains::{answers, remove, remove_abandoned, runs};
pub use server::Server;

/// Its name, as `MAINSTAY_REQUIRE` lists it.
pub const NAME: &str = "redis";

/// Where the URL of a server stands that somebody else runs.
pub const URL: &str = "MAINSTAY_REDIS_URL";
