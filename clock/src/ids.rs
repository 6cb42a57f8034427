//! Ids and randomness.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use uuid::Uuid;

/// Where an engine gets its ids and its randomness (jitter, names) from.
pub trait IdGenerator: fmt::Debug + Send + Sync + 'static {
    /// A new id, different from every other one.
    fn uuid(&self) -> Uuid;

    /// 64 random bits, for jitter. Not for secrets.
    fn random(&self) -> u64;
}

impl<G: IdGenerator + ?Sized> IdGenerator for Arc<G> {
    fn uuid(&self) -> Uuid {
        (**self).uuid()
    }
    fn random(&self) -> u64 {
        (**self).random()
    }
}

/// `UUIDv7` from the operating system's clock and randomness: the default everywhere.
#[derive(Clone, Copy, Default, Debug)]
#[non_exhaustive]
pub struct SystemIds;

impl SystemIds {
    /// The system's generator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl IdGenerator for SystemIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one caller of now_v7()"
    )]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random(&self) -> u64 {
        // The low half of a UUIDv7 is random but for its two variant bits; spread what is left.
        mix(self.uuid().as_u64_pair().1)
    }
}

/// The same ids and the same randomness for the same seed, for tests and simulations.
#[derive(Debug)]
pub struct SeededIds {
    state: AtomicU64,
}

impl SeededIds {
    /// A generator whose whole sequence follows from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }
}

impl IdGenerator for SeededIds {
    fn uuid(&self) -> Uuid {
        let (high, low) = (self.random(), self.random());
        Uuid::from_u64_pair(high, low)
    }

    /// `SplitMix64` (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
    fn random(&self) -> u64 {
        const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        mix(self
            .state
            .fetch_add(GOLDEN_GAMMA, Ordering::Relaxed)
            .wrapping_add(GOLDEN_GAMMA))
    }
}

/// The finalizer of `SplitMix64`: every output bit depends on every input bit.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (a, b) = (SeededIds::new(7), SeededIds::new(7));
        for _ in 0..100 {
            assert_eq!(a.uuid(), b.uuid());
        }
    }

    #[test]
    fn split_mix_matches_its_published_vector() {
        let ids = SeededIds::new(1_234_567);
        assert_eq!(ids.random(), 6_457_827_717_110_365_317);
        assert_eq!(ids.random(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn system_ids_ascend_within_a_process() {
        let ids = SystemIds::new();
        let drawn: Vec<_> = (0..1_000).map(|_| ids.uuid()).collect();
        assert!(drawn.is_sorted());
    }
}
