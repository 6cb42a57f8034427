//! The dead letter queue on every store.

#[cfg(feature = "conformance")]
mod crash;
#[cfg(all(feature = "conformance", feature = "http", feature = "memory"))]
mod http;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(all(feature = "conformance", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
#[cfg(feature = "memory")]
mod topic;
