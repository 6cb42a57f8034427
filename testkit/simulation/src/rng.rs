//! What follows from a seed.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use mainstay_clock::{IdGenerator as _, SeededIds};

/// Random choices from a seed. Those for one purpose do not change those for another.
#[derive(Debug)]
pub struct Rng(SeededIds);

impl Rng {
    /// The choices of `seed` for a purpose.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(ids(seed, purpose, 0))
    }

    /// A number below `bound`.
    pub fn below<N: TryInto<u64> + TryFrom<u64> + Default>(&self, bound: N) -> N {
        let bound = bound.try_into().unwrap_or(u64::MAX).max(1);
        N::try_from(self.0.random() % bound).unwrap_or_default()
    }

    /// One time in so many.
    pub fn one_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// At most so long; short ones are as likely as long ones.
    pub fn millis(&self, longest: u64) -> Duration {
        let longest = longest >> self.below(8_u32);
        Duration::from_millis(1 + self.below(longest))
    }

    /// A time within this one, and not its very beginning: what opens then is opened.
    pub fn within(&self, all: Duration) -> Duration {
        let millis = u64::try_from(all.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(millis).max(1))
    }

    /// One of them, if there are any.
    pub fn one<T: Clone>(&self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).cloned()
    }
}

/// The ids of one life of a host: others do not change when this one draws more or fewer.
pub(crate) fn ids(seed: u64, name: &str, life: u64) -> SeededIds {
    // Its keys are fixed, so a seed is the same seed on every machine.
    let mut hasher = DefaultHasher::new();
    (seed, name, life).hash(&mut hasher);
    SeededIds::new(hasher.finish())
}
