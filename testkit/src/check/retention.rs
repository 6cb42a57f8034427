//! What may be removed for good.

use std::collections::HashMap;

use crate::{
    History,
    history::{Offset, Removal},
};

/// No outbox lets go of a message that was not published by then.
#[must_use]
pub fn nothing_unpublished_removed(history: &History) -> Vec<String> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (at, record) in history.published.iter().enumerate() {
        first.entry(&record.entry.id).or_insert(at);
    }
    let removed = history.removals.iter().filter_map(|removal| {
        let Removal::Row { id, seen } = removal else {
            return None;
        };
        let was_published = first.get(&**id).is_some_and(|at| *at < seen.published);
        (!was_published).then(|| format!("{id} was removed before it was published"))
    });
    removed.collect()
}

/// No inbox forgets a message of which a copy lies at or above its group's stored offset.
#[must_use]
pub fn nothing_redeliverable_forgotten(history: &History) -> Vec<String> {
    let mut forgotten = Vec::new();
    for removal in &history.removals {
        let Removal::Mark { consumer, id, seen } = removal else {
            continue;
        };
        let reads = |topic: &str| {
            let mut readers = history.readers.iter();
            readers.any(|r| r.consumer == *consumer && r.topic == topic)
        };
        let copies = history.published.iter().take(seen.published);
        for copy in copies.filter(|r| r.entry.id == *id && reads(&r.topic)) {
            let of_copy = |o: &&Offset| {
                o.consumer == *consumer && o.topic == copy.topic && o.partition == copy.partition
            };
            let stored = history.offsets.iter().take(seen.offsets).filter(of_copy);
            let stored = stored.map(|o| o.offset).max();
            if stored.is_none_or(|stored| stored <= copy.offset) {
                forgotten.push(format!(
                    "{consumer} forgot {id}, which lies at {} of {}/{}; stored was {stored:?}",
                    copy.offset, copy.topic, copy.partition
                ));
            }
        }
    }
    forgotten
}
