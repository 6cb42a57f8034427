//! Random choices that follow from a seed.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use mainstay_clock::{IdGenerator as _, SeededIds};

/// Random choices that follow from a seed. Choices for one purpose do not change those for another.
#[derive(Debug)]
pub struct Rng(SeededIds);

impl Rng {
    /// The choices of `seed` for a purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(ids(seed, purpose, 0))
    }

    /// A number below `bound`.
    pub fn below<N: TryInto<u64> + TryFrom<u64> + Default>(&self, bound: N) -> N {
        let bound = bound.try_into().unwrap_or(u64::MAX).max(1);
        N::try_from(self.0.random() % bound).unwrap_or_default()
    }

    /// True one time in `times`.
    pub fn one_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A duration of at most `longest` milliseconds. Short ones are as likely as long ones.
    pub fn millis(&self, longest: u64) -> Duration {
        let longest = longest >> self.below(8_u32);
        Duration::from_millis(1 + self.below(longest))
    }

    /// A time within `all`, but not its begin, at which hosts are opening.
    pub fn within(&self, all: Duration) -> Duration {
        let millis = u64::try_from(all.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(millis).max(1))
    }

    /// One of them, if there are any.
    pub fn one<T: Clone>(&self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).cloned()
    }
}

/// The ids of one life of a host, independent of those of other lives.
pub(crate) fn ids(seed: u64, name: &str, life: u64) -> SeededIds {
    // The hasher has fixed keys, so a seed gives the same ids on every machine.
    let mut hasher = DefaultHasher::new();
    (seed, name, life).hash(&mut hasher);
    SeededIds::new(hasher.finish())
}
