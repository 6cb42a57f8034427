//! A message that waits to be handled.

use mainstay_clock::Monotonic;

use crate::failure::Failure;

/// One message in a lane. `D` is the delivery, at which the scheduler does not look.
#[derive(Clone, Debug)]
pub(super) struct Item<D> {
    pub(super) offset: i64,
    pub(super) delivery: D,
    /// The largest batch it may be part of. Lowered to find the message that makes a batch fail
    /// where no savepoint shows it; at 1 it runs alone.
    pub(super) at_most: usize,
    /// How many attempts on it have failed.
    pub(super) attempts: u32,
    /// How often in a row it was interrupted, or the failure policy has failed on it.
    pub(super) interruptions: u32,
    pub(super) hold: Hold,
    /// Set once it cannot be handled: the failure policy is asked when its turn comes.
    pub(super) failure: Option<Failure>,
}

/// Whether a message may start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    /// It may start.
    None,
    /// Not before this time.
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
