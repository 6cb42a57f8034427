//! Sagas on every store.

mod engine;
mod orders;
