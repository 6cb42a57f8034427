//! Explores all that may happen to a run of a definition.
//!
//! [`check_all_interleavings`] plays the engine against lawful participants: every order of
//! messages, every answer, and the faults that it is given. It finds the shortest way to a state
//! that must not be.
//!
//! ```
//! # mod orders { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/orders.rs")); }
//! # use {mainstay_saga::Saga, orders::*};
//! use mainstay_saga::check::{Faults, check_all_interleavings};
//!
//! # fn place_order() -> mainstay_saga::Definition<Order> {
//! #     let mut saga = Saga::new("place-order", 1);
//! #     saga.step((), |order: &Order, ()| ReserveStock { order: order.id.clone() });
//! #     let (mut saga, _) = saga.pivot((), |order, ()| Pay { order: order.id.clone() });
//! #     saga.then((), |order, ()| Ship { order: order.id.clone() });
//! #     saga.build()
//! # }
//! // In a test of the service:
//! let explored = check_all_interleavings(&place_order(), Faults::all()).unwrap();
//! assert!(explored.completed > 0 && explored.undone > 0);
//! ```
//!
//! Checked in every state:
//!
//! - no step is undone once the pivot is done, and none behind the pivot is done before;
//! - a completed run has every step done, and an undone run has none, now and later;
//! - a run that nothing is under way for has ended, or is overdue.
//!
//! Local steps are explored as remote ones, which is more than can happen. A crash rolls a
//! transaction back, which is the same as a message that comes later.

mod counterexample;
mod explore;
mod faults;
mod world;

pub use counterexample::Counterexample;
pub use explore::{Explored, check_all_interleavings};
pub use faults::Faults;
