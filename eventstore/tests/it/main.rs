//! Event streams on every store.

#[cfg(feature = "conformance")]
mod crash;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(feature = "conformance")]
mod orders;
#[cfg(all(feature = "conformance", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
