//! Idempotency keys on every store.

#[cfg(all(feature = "axum", feature = "sqlite"))]
mod http;
