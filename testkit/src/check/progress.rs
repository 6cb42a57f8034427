//! What may only rise.

use std::{collections::HashMap, fmt, hash::Hash};

use crate::History;

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
