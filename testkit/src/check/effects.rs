//! From the log to the effect.

use std::collections::{BTreeMap, HashMap};

use super::delivery::KeyOrder;
use crate::{History, history::Effect};

/// No consumer has made the effect of a message twice.
#[must_use]
pub fn effects_once(history: &History) -> Vec<String> {
    let mut times: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for Effect { consumer, entry } in &history.effects {
        *times.entry((consumer, &entry.id)).or_default() += 1;
    }
    let often = times.into_iter().filter(|(_, times)| *times > 1);
    often
        .map(|((consumer, id), times)| format!("{consumer} did {id} {times} times"))
        .collect()
}

/// Taking of each message its first effect on a consumer, those of a key have the order of its commits, without a gap.
#[must_use]
pub fn effects_in_key_order(history: &History) -> Vec<String> {
    let order = KeyOrder::of(&history.committed);
    let mut by_consumer: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for Effect { consumer, entry } in &history.effects {
        by_consumer.entry(consumer).or_default().push(entry);
    }
    let differences = (by_consumer.into_iter())
        .flat_map(|(consumer, came)| order.differences(&format!(" to {consumer}"), came));
    differences.collect()
}

/// When an offset is stored, everything below it that the consumer reads has its effect, durably.
#[must_use]
pub fn offsets_behind_effects(history: &History) -> Vec<String> {
    let mut first: HashMap<(&str, &str), usize> = HashMap::new();
    for (at, Effect { consumer, entry }) in history.effects.iter().enumerate() {
        first.entry((consumer, &entry.id)).or_insert(at);
    }
    let mut partitions: HashMap<(&str, i32), Vec<(i64, &str)>> = HashMap::new();
    for record in &history.published {
        let partition = partitions.entry((&record.topic, record.partition));
        partition
            .or_default()
            .push((record.offset, &record.entry.id));
    }
    // Moments do not go back: who was done at the first offset above it is done at each later one.
    let mut judged: HashMap<(&str, &str, i32), i64> = HashMap::new();
    let mut early = Vec::new();
    for stored in &history.offsets {
        let (consumer, topic) = (&*stored.consumer, &*stored.topic);
        if !(history.readers.iter()).any(|r| r.consumer == consumer && r.topic == topic) {
            continue;
        }
        let judged = judged.entry((consumer, topic, stored.partition));
        let below = judged.or_insert(i64::MIN);
        let records = partitions.get(&(topic, stored.partition));
        for (offset, id) in records.into_iter().flatten() {
            let concerned = (*below..stored.offset).contains(offset);
            let done = first.get(&(consumer, id));
            if concerned && done.is_none_or(|at| *at >= stored.seen.effects) {
                early.push(format!(
                    "{consumer} stored {} of {topic}/{}, and {id} at {offset} had no effect",
                    stored.offset, stored.partition
                ));
            }
        }
        *below = (*below).max(stored.offset);
    }
    early
}
