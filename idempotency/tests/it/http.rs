//! What clients are answered.
#![expect(clippy::unwrap_used, reason = "tests")]

mod client;
mod keyed;
mod layer;
