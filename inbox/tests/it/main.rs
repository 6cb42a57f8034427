//! The inbox on every store.

#[cfg(all(feature = "conformance", feature = "memory"))]
mod faults;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(all(feature = "conformance", any(feature = "memory", feature = "postgres")))]
mod named;
#[cfg(all(feature = "conformance", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod scripted;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod simulation;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
