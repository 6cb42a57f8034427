//! Event streams on every store.

#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(all(feature = "conformance", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
