//! Sagas on every store.

mod check;
mod engine;
#[cfg(feature = "memory")]
mod laws;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
mod orders;
