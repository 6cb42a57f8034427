//! What a blocked key may hold up, and what may be left in the end.

use std::collections::{HashMap, HashSet};

use crate::{
    History,
    history::{BlockedKey, Entry, Left, Location},
};

/// Nothing of a blocked key goes on before the message that blocked it.
pub fn blocked_keys_not_overtaken(history: &History) -> Vec<String> {
    let overtaken = history.blocked_keys.iter().filter_map(|block| {
        let key = block.key.as_deref()?;
        let of_key = |(_, entry): &(usize, &Entry)| entry.key.as_deref() == Some(key);
        let passed = passed(history, &block.at).into_iter().filter(of_key);
        let passed_before = match block.at {
            Location::Outbox => block.seen.published,
            Location::Consumer(_) => block.seen.effects,
        };
        let (before, after): (Vec<_>, Vec<_>) = passed.partition(|(at, _)| *at < passed_before);
        // A redelivery overtakes nothing; nor does a message if the other was done before the note.
        let before: HashSet<&str> = before.iter().map(|(_, entry)| &*entry.id).collect();
        let mut first = after.iter().map(|(_, entry)| &*entry.id);
        let next = first.find(|id| !before.contains(id))?;
        (next != block.id && !before.contains(&*block.id)).then(|| {
            format!(
                "{next} of key {key} overtook {} at {:?}",
                block.id, block.at
            )
        })
    });
    overtaken.collect()
}

/// Where blocks last, only messages of blocked keys are left, and none from before the block.
pub fn blocked_keys_block_only_themselves(history: &History) -> Vec<String> {
    let lasting = lasting(history);
    if lasting.is_empty() {
        return Vec::new();
    }
    let order: HashMap<&str, usize> = (history.committed.iter().enumerate())
        .map(|(at, entry)| (&*entry.id, at))
        .collect();
    let waits = |left: &Left, block: &BlockedKey| {
        let behind = || order.get(&*left.id) >= order.get(&*block.id);
        left.id == block.id || (left.key.is_some() && left.key == block.key && behind())
    };
    let held_up = history.left.iter().filter(|left| {
        (lasting.get(&left.at)).is_some_and(|blocks| !blocks.iter().any(|block| waits(left, block)))
    });
    held_up.map(describe).collect()
}

/// Nothing is left to be published or done where no block lasts.
pub fn drained(history: &History) -> Vec<String> {
    let lasting = lasting(history);
    let left = history.left.iter();
    let left = left.filter(|left| !lasting.contains_key(&left.at));
    left.map(describe).collect()
}

fn describe(Left { at, key, id }: &Left) -> String {
    format!("{id} of key {key:?} is left at {at:?}")
}

/// Blocks whose cause stayed, and whose message has not gone on all the same.
fn lasting(history: &History) -> HashMap<&Location, Vec<&BlockedKey>> {
    let mut lasting: HashMap<&Location, Vec<&BlockedKey>> = HashMap::new();
    for block in history.blocked_keys.iter().filter(|block| block.lasting) {
        let passed = passed(history, &block.at);
        if !passed.iter().any(|(_, entry)| entry.id == block.id) {
            lasting.entry(&block.at).or_default().push(block);
        }
    }
    lasting
}

/// What went on from a location, each with its number in the section.
fn passed<'a>(history: &'a History, location: &Location) -> Vec<(usize, &'a Entry)> {
    match location {
        Location::Outbox => (history.published.iter().enumerate())
            .map(|(at, record)| (at, &record.entry))
            .collect(),
        Location::Consumer(consumer) => (history.effects.iter().enumerate())
            .filter(|(_, effect)| effect.consumer == *consumer)
            .map(|(at, effect)| (at, &effect.entry))
            .collect(),
    }
}
