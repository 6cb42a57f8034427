//! The laws of a step as checks for property tests.
//!
//! [`command`] and [`compensable`] look at one value of each message; let proptest make them.
//! [`participant`] plays a participant's handlers through do and undo in every order.
//!
//! ```
//! # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
//! # use orders::*;
//! use mainstay_saga::laws;
//!
//! // In a test; with proptest, for any order and hold:
//! let (order, hold) = ("o-1".to_owned(), "h-1".to_owned());
//! let (command, done) = (ReserveStock { order }, StockReserved { hold });
//! laws::compensable(&command, &done, Some(&OutOfStock {}), &StockReleased {}).unwrap();
//! ```

mod participant;
mod step;

pub use participant::{Subject, participant};
pub use step::{command, compensable};

/// A law that does not hold.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{step}: {law}, but {found}")]
#[non_exhaustive]
pub struct Violation {
    /// The kind of the command.
    pub step: &'static str,
    /// The law.
    pub law: &'static str,
    /// What was found.
    pub found: String,
}
