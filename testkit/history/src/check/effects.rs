//! From the log to the effect, and which processed records an inbox may prune.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
};

use super::{delivery::KeyOrder, first_places, repeated};
use crate::{
    History,
    history::{Effect, Removal},
};

/// No consumer has applied the effect of a message twice.
#[must_use]
pub fn effects_once(history: &History) -> Vec<String> {
    repeated(done(history))
        .map(|((consumer, id), times)| format!("{consumer} did {id} {times} times"))
        .collect()
}

fn done(history: &History) -> impl Iterator<Item = (&str, &str)> {
    (history.effects.iter()).map(|effect| (&*effect.consumer, &*effect.entry.id))
}

/// The first effects of the messages of a key on a consumer are in the order of its commits,
/// without a gap.
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

/// When an offset is stored, every message below it has a committed effect on the consumer, or is
/// in its dead letter queue.
#[must_use]
pub fn offsets_behind_effects(history: &History) -> Vec<String> {
    let first = first_places(done(history));
    let kept = history.kept.iter();
    let kept: HashMap<(&str, &str), usize> = kept
        .map(|kept| ((&*kept.consumer, &*kept.id), kept.seen.offsets))
        .collect();
    let mut partitions: HashMap<(&str, i32), Vec<(i64, &str)>> = HashMap::new();
    for record in &history.published {
        let partition = partitions.entry((&record.topic, record.partition));
        let record = (record.offset, &*record.entry.id);
        partition.or_default().push(record);
    }
    // Moments do not go back: a message that was done at one offset is done at each later one.
    let mut judged: HashMap<(&str, &str, i32), i64> = HashMap::new();
    let mut early = Vec::new();
    for (nth, stored) in history.offsets.iter().enumerate() {
        let (consumer, topic) = (&*stored.consumer, &*stored.topic);
        if !history.reads(consumer, topic) {
            continue;
        }
        let judged = judged.entry((consumer, topic, stored.partition));
        let below = judged.or_insert(i64::MIN);
        let records = partitions.get(&(topic, stored.partition));
        for (offset, id) in records.into_iter().flatten() {
            let concerned = (*below..stored.offset).contains(offset);
            let done = first.get(&(consumer, id));
            let is_kept = kept.get(&(consumer, id)).is_some_and(|at| *at <= nth);
            if concerned && !is_kept && done.is_none_or(|at| *at >= stored.seen.effects) {
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

/// No stored offset of a group is lower than the one before.
#[must_use]
pub fn offsets_rise(history: &History) -> Vec<String> {
    let stored = history.offsets.iter();
    fallen(stored.map(|o| ((&o.consumer, &o.topic, o.partition), o.offset)))
}

/// No stored position of a cursor is lower than the one before.
#[must_use]
pub fn cursors_rise(history: &History) -> Vec<String> {
    let stored = history.cursors.iter();
    fallen(stored.map(|cursor| (&cursor.name, cursor.position)))
}

fn fallen<K: Hash + Eq + Copy + fmt::Debug>(stored: impl Iterator<Item = (K, i64)>) -> Vec<String> {
    let mut last: HashMap<K, i64> = HashMap::new();
    let fell = stored.filter_map(|(whose, now)| {
        let before = last.insert(whose, now)?;
        (now < before).then(|| format!("{whose:?}: {now} after {before}"))
    });
    fell.collect()
}

/// No inbox prunes the processed record of a message that is in the log at or above its group's
/// stored offset.
#[must_use]
pub fn nothing_redeliverable_pruned(history: &History) -> Vec<String> {
    let mut early = Vec::new();
    for removal in &history.removals {
        let Removal::ProcessedRecord { consumer, id, seen } = removal else {
            continue;
        };
        let records = history.published.iter().take(seen.published);
        for record in records.filter(|r| r.entry.id == *id && history.reads(consumer, &r.topic)) {
            let stored = history.offsets.iter().take(seen.offsets);
            let stored = stored.filter(|o| {
                o.consumer == *consumer
                    && o.topic == record.topic
                    && o.partition == record.partition
            });
            let stored = stored.map(|o| o.offset).max();
            if stored.is_none_or(|stored| stored <= record.offset) {
                early.push(format!(
                    "{consumer} pruned {id}, which lies at {} of {}/{}; stored was {stored:?}",
                    record.offset, record.topic, record.partition
                ));
            }
        }
    }
    early
}
