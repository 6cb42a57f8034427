//! Which partition a message goes to.

use crate::{Key, Message};

/// The partition of a record with these key bytes among `partitions`, as Kafka's own clients choose
/// it: murmur2 of the key, sign bit cleared, modulo the number of partitions.
///
/// A message without key is spread by its id in the same way.
///
/// # Panics
/// Never; with no partitions the answer is 0.
#[must_use]
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    (positive.cast_signed())
        .checked_rem(partitions)
        .unwrap_or(0)
}

/// What decides on a message's partition: its key or, if it has none, its id.
#[must_use]
pub fn spread_by(message: &Message) -> &[u8] {
    message
        .key
        .as_ref()
        .map_or_else(|| message.id.as_str(), Key::as_str)
        .as_bytes()
}

/// `MurmurHash2` (Appleby, 2008) with the seed that Kafka's clients use.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (shift, byte) in (0..).step_by(8).zip(tail) {
            hash ^= u32::from(*byte) << shift;
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The vectors of Kafka's own client test (`UtilsTest.testMurmur2`).
    #[test]
    fn murmur2_matches_the_vectors_of_kafka() {
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_key_has_a_partition(key in proptest::collection::vec(any::<u8>(), 0..40), partitions in 1..1000i32) {
            prop_assert!((0..partitions).contains(&partition_of(&key, partitions)));
        }
    }
}
