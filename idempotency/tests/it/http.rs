//! What clients are answered.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod keyed;
mod layer;
