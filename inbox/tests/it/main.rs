//! The inbox on every store.

#[cfg(feature = "sqlite")]
mod sqlite;
