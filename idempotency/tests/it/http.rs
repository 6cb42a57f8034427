//! What clients are answered.
#![expect(clippy::unwrap_used, reason = "tests")]

mod keyed;
mod layer;
