//! Sagas on every store.

mod engine;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
mod orders;
