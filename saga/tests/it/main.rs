//! Sagas on every store.

mod check;
#[cfg(feature = "memory")]
mod end_to_end;
mod engine;
#[cfg(feature = "memory")]
mod laws;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
mod orders;
#[cfg(all(feature = "conformance", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
#[cfg(all(feature = "conformance", any(feature = "postgres", feature = "sqlite")))]
mod stores;
