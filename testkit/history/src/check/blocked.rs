//! Which messages a blocked key may hold back, and which may be left at the end.

use std::collections::{HashMap, HashSet};

use crate::{
    History,
    history::{Blocked, Entry, Left, Place},
};

/// No message overtakes a message that blocked their key.
#[must_use]
pub fn blocked_keys_not_overtaken(history: &History) -> Vec<String> {
    let overtaken = history.blocked.iter().filter_map(|blocked| {
        let key = blocked.key.as_deref()?;
        let of_key = |(_, entry): &(usize, &Entry)| entry.key.as_deref() == Some(key);
        let passed = passed(history, &blocked.at).into_iter().filter(of_key);
        let passed_before = match blocked.at {
            Place::Outbox => blocked.seen.published,
            Place::Consumer(_) => blocked.seen.effects,
        };
        let (before, after): (Vec<_>, Vec<_>) = passed.partition(|(at, _)| *at < passed_before);
        // A repetition overtakes nothing. Nor does a later message if the blocked one was done
        // before the block was noted.
        let before: HashSet<&str> = before.iter().map(|(_, entry)| &*entry.id).collect();
        let mut first = after.iter().map(|(_, entry)| &*entry.id);
        let next = first.find(|id| !before.contains(id))?;
        (next != blocked.id && !before.contains(&*blocked.id)).then(|| {
            format!(
                "{next} of key {key} overtook {} at {:?}",
                blocked.id, blocked.at
            )
        })
    });
    overtaken.collect()
}

/// Where keys stay blocked, only messages of blocked keys are left, and none that precedes the
/// message that blocked its key.
#[must_use]
pub fn blocked_keys_block_no_other(history: &History) -> Vec<String> {
    let lasting = lasting(history);
    if lasting.is_empty() {
        return Vec::new();
    }
    let order: HashMap<&str, usize> = (history.committed.iter().enumerate())
        .map(|(at, entry)| (&*entry.id, at))
        .collect();
    let waits = |left: &Left, blocked: &Blocked| {
        let behind = || order.get(&*left.id) >= order.get(&*blocked.id);
        left.id == blocked.id || (left.key.is_some() && left.key == blocked.key && behind())
    };
    let others = history.left.iter().filter(|left| {
        (lasting.get(&left.at)).is_some_and(|keys| !keys.iter().any(|blocked| waits(left, blocked)))
    });
    others.map(describe).collect()
}

/// No message is left where no key stays blocked.
#[must_use]
pub fn drained(history: &History) -> Vec<String> {
    let lasting = lasting(history);
    let left = history.left.iter();
    let left = left.filter(|left| !lasting.contains_key(&left.at));
    left.map(describe).collect()
}

fn describe(Left { at, key, id }: &Left) -> String {
    format!("{id} of key {key:?} is left at {at:?}")
}

/// Blocked keys whose cause stays, and whose message has not passed all the same.
fn lasting(history: &History) -> HashMap<&Place, Vec<&Blocked>> {
    let mut lasting: HashMap<&Place, Vec<&Blocked>> = HashMap::new();
    for blocked in history.blocked.iter().filter(|blocked| blocked.lasting) {
        let passed = passed(history, &blocked.at);
        if !passed.iter().any(|(_, entry)| entry.id == blocked.id) {
            lasting.entry(&blocked.at).or_default().push(blocked);
        }
    }
    lasting
}

/// The messages that have passed a place, each with its index in the section.
fn passed<'a>(history: &'a History, place: &Place) -> Vec<(usize, &'a Entry)> {
    match place {
        Place::Outbox => (history.published.iter().enumerate())
            .map(|(at, record)| (at, &record.entry))
            .collect(),
        Place::Consumer(consumer) => (history.effects.iter().enumerate())
            .filter(|(_, effect)| effect.consumer == *consumer)
            .map(|(at, effect)| (at, &effect.entry))
            .collect(),
    }
}
