//! Idempotency keys on every store.

#[cfg(feature = "axum")]
mod client;
#[cfg(feature = "conformance")]
mod crash;
#[cfg(all(feature = "axum", feature = "memory", feature = "sqlite"))]
mod http;
#[cfg(all(feature = "conformance", feature = "memory"))]
mod memory;
#[cfg(all(feature = "axum", feature = "conformance", feature = "postgres"))]
mod postgres;
#[cfg(all(feature = "axum", feature = "conformance", feature = "redis"))]
mod redis;
#[cfg(all(feature = "conformance", feature = "sqlite"))]
mod sqlite;
