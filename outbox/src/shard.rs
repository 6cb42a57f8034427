//! Shards: the units of work that relays divide among themselves.

use mainstay_messaging::{Message, broker::partitioner};

/// Name of the hash, written into the schema. A process with another hash refuses to start.
pub const SHARD_HASH: &str = "murmur2";

/// The shard of a message among `shards`: by topic and key, or by topic and id if it has no key.
///
/// The result never changes, because tables hold messages that older builds wrote.
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

/// How many of `shards` the relay at `rank` (from 0) of `relays` should own. Shares differ by at most one.
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
    use proptest::prelude::*;

    fn message(id: &str, key: Option<&str>) -> Message {
        let message = Message::builder()
            .id(id)
            .source("s")
            .topic("orders")
            .kind("K");
        let message = match key {
            Some(key) => message.key(key),
            None => message,
        };
        message.build().unwrap()
    }

    /// Tables of running systems hold messages under these numbers.
    #[test]
    fn the_shard_of_a_key_never_changes() {
        let of = |id, key| shard_of(&message(id, key), 16);
        let seen = ["a", "b", "order-17", "ä"].map(|key| of("1", Some(key)));
        assert_eq!(seen, [7, 2, 6, 6]);
        assert_eq!(of("2", Some("a")), 7, "with a key, the id does not count");
        assert_eq!(of("a", None), 7, "without a key, the id decides");
    }

    proptest! {
        #[test]
        fn shares_add_up_and_differ_by_at_most_one(shards in 0..200usize, relays in 1..20usize) {
            let shares: Vec<_> = (0..relays).map(|rank| fair_share(shards, relays, rank)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), shards);
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
