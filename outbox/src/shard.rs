//! Shards: the unit of ownership among relays.

use mainstay_messaging::{Message, partitioner};

/// Name of the hash, written into the schema: a process that hashes otherwise must not start.
pub const HASH: &str = "murmur2";

/// The shard of a message among `shards`: by topic and key, or by id when there is no key to keep in order.
///
/// Stable for ever: messages in tables were put there by older builds.
#[must_use]
pub fn shard_of(message: &Message, shards: u16) -> u16 {
    if shards <= 1 {
        return 0;
    }
    let (topic, key) = (
        message.topic.as_str(),
        message
            .key
            .as_ref()
            .map_or_else(|| message.id.as_str(), |key| key.as_str()),
    );
    let mut bytes = Vec::with_capacity(topic.len() + 1 + key.len());
    bytes.extend_from_slice(topic.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.as_bytes());
    u16::try_from(partitioner::partition_of(&bytes, i32::from(shards))).unwrap_or_default()
}

/// How many of `shards` the relay at `rank` (from 0) of `relays` should own: shares differ by one at most.
#[must_use]
pub const fn fair_share(shards: usize, relays: usize, rank: usize) -> usize {
    match relays {
        0 => 0,
        _ => shards / relays + if rank < shards % relays { 1 } else { 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_messaging::{Key, Kind, MessageId, Source, Topic};
    use proptest::prelude::*;

    fn message(id: &'static str, key: Option<&'static str>) -> Message {
        let mut message = Message::with_id(
            MessageId::from_static(id),
            Source::from_static("s"),
            Topic::from_static("orders"),
            Kind::from_static("K"),
        );
        message.key = key.map(Key::from_static);
        message
    }

    /// Messages lie in tables of running systems under these numbers.
    #[test]
    fn shards_are_pinned() {
        let of = |id, key| shard_of(&message(id, key), 16);
        let seen = ["a", "b", "order-17", "ä"].map(|key| of("1", Some(key)));
        assert_eq!(seen, [7, 2, 6, 6]);
        assert_eq!(of("2", Some("a")), 7, "the id has no say in it");
        assert_eq!(of("a", None), 7, "without key the id decides");
    }

    proptest! {
        #[test]
        fn shares_add_up_and_differ_by_one(shards in 0..200usize, relays in 1..20usize) {
            let shares: Vec<_> = (0..relays).map(|rank| fair_share(shards, relays, rank)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), shards);
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
