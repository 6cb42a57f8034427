//! Models of mainstay's protocols, explored breadth first with stateright.
//!
//! A test of an implementation tries some interleavings of some failures. A model tries all of them, within bounds that
//! are small enough to be gone through: two or three messages, two owners, one or two of each mishap. What holds there is
//! the *protocol*; that the crates follow it is for their conformance suites, the simulation and the chaos tests.
//!
//! | model | protocol | state |
//! |---|---|---|
//! | `first-form` | the outbox as built: shard lease, fence, rounds, side table | built |
//! | `second-form` | the outbox's next form: an append-only log, watermark and ranges | to be built |
//! | `inbox` | the inbox as built: marks, offsets, lanes, redelivery, retention | built |
//! | `parked` | stopped keys: parking, replay, draining, discarding, handing back | to be built |
//!
//! Each model states the guarantees that the documentation of its crate gives, and *reachable* properties that show that a run
//! is not vacuous. Each protective rule is a variant of the model's `Rule`; for each there is a case that goes without it and must
//! then break a guarantee. [`cases`] lists them all, the binary `models` runs and explains them, and the package's README says
//! what is modelled, what is not, and how to read a trace.

mod case;
mod catalogue;
mod first_form;
mod inbox;
mod message;
mod mishaps;
mod name;
mod offsets;
mod parked;
mod report;
mod second_form;

pub use case::{Case, Size};
pub use catalogue::cases;
pub use report::{Broken, Report, Step};
