//! Hashing of the scheduler's own numbers.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps whose keys are numbers that the scheduler gave. No producer chooses them, so they need
/// no protection against collisions.
pub(super) type ByNumber = BuildHasherDefault<NumberHasher>;

/// Spreads consecutive numbers over all bits, as a map needs them.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct NumberHasher(u64);

/// 2⁶⁴ divided by the golden ratio, made odd.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
