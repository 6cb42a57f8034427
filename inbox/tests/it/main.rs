//! The inbox on every store.

#[cfg(all(feature = "conformance", feature = "memory"))]
mod adaptation;
#[cfg(feature = "conformance")]
mod crash;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod durations;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod faults;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod handlers;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(feature = "conformance")]
mod named;
#[cfg(all(feature = "conformance", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod scripted;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
