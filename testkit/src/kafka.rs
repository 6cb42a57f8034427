//! Kafka for tests: one node that is its own controller.

mod answer;
mod binaries;
mod instance;
#[cfg(feature = "kafka")]
mod private;
mod remains;
mod server;
mod settings;

pub use binaries::{Binaries, LIBRARIES};
pub use instance::{Instance, Options};
#[cfg(feature = "kafka")]
pub use private::PrivateServer;
pub use remains::{answers, remove, remove_abandoned, runs};
pub use server::Server;

/// Its name, as `MAINSTAY_REQUIRE` lists it.
pub const NAME: &str = "kafka";

/// Where the servers stand that somebody else runs, as `host:port,host:port`.
pub const URL: &str = "MAINSTAY_KAFKA_URL";
