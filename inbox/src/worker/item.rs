//! A message that waits to be handled, and what is known about it.

use mainstay_clock::Monotonic;

use crate::Failure;

/// One message in a lane. `D` is the delivery; the scheduler does not look at it.
#[derive(Clone, Debug)]
pub(super) struct Item<D> {
    pub(super) offset: i64,
    pub(super) delivery: D,
    /// The largest batch it may be part of: lowered to find who makes a batch fail, 1 = it runs alone.
    pub(super) at_most: usize,
    /// How often a handler has failed on it.
    pub(super) attempts: u32,
    /// How often in a row the database has interrupted it, or parking has failed.
    pub(super) interruptions: u32,
    pub(super) hold: Hold,
    /// Set once it is clear that it cannot be handled: it is to be parked when its turn comes.
    pub(super) failure: Option<Failure>,
}

/// Whether a message may start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    /// At once.
    None,
    /// Not before.
    Until(Monotonic),
    /// Not in this assignment of the partition.
    Forever,
}

impl<D> Item<D> {
    pub(super) const fn new(offset: i64, delivery: D) -> Self {
        Self {
            offset,
            delivery,
            at_most: usize::MAX,
            attempts: 0,
            interruptions: 0,
            hold: Hold::None,
            failure: None,
        }
    }

    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        match self.hold {
            Hold::None => true,
            Hold::Until(when) => when.has_passed_at(now),
            Hold::Forever => false,
        }
    }
}
