//! What the benches share: interleaved comparisons, the workload, scratch files.
//!
//! A figure of these benches is a *ratio* to the raw backend, taken in the same run: the sides of a comparison take turns,
//! round by round, so that whatever else the machine does strikes them alike. See the README of this package.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a bench prints what it finds and stops at the first error"
)]

mod bench;
mod comparison;
mod scratch;
mod workload;

pub use bench::{Bench, Stopwatch, Took, timed};
pub use comparison::{Comparison, Side};
pub use scratch::Scratch;
pub use workload::{Keys, Workload};
