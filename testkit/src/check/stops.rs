//! What a message that cannot go on may hold up, and what may be left in the end.

use std::collections::{HashMap, HashSet};

use crate::{
    History,
    history::{Entry, Left, Place, Stop},
};

/// Behind a message that stopped its key, nothing of the key goes on before it does.
pub fn stopped_keys_not_overtaken(history: &History) -> Vec<String> {
    let overtaken = history.stops.iter().filter_map(|stop| {
        let key = stop.key.as_deref()?;
        let of_key = |(_, entry): &(usize, &Entry)| entry.key.as_deref() == Some(key);
        let passed = passed(history, &stop.at).into_iter().filter(of_key);
        let passed_before = match stop.at {
            Place::Outbox => stop.seen.published,
            Place::Consumer(_) => stop.seen.effects,
        };
        let (before, after): (Vec<_>, Vec<_>) = passed.partition(|(at, _)| *at < passed_before);
        // What is there again is no overtaker; nor is what comes behind it when it was done before its stop was noted.
        let before: HashSet<&str> = before.iter().map(|(_, entry)| &*entry.id).collect();
        let mut first = after.iter().map(|(_, entry)| &*entry.id);
        let next = first.find(|id| !before.contains(id))?;
        (next != stop.id && !before.contains(&*stop.id))
            .then(|| format!("{next} of key {key} overtook {} at {:?}", stop.id, stop.at))
    });
    overtaken.collect()
}

/// Where stops last, only messages of stopped keys are left, and none that comes before what stopped its key.
pub fn stopped_keys_stop_only_themselves(history: &History) -> Vec<String> {
    let lasting = lasting(history);
    if lasting.is_empty() {
        return Vec::new();
    }
    let order: HashMap<&str, usize> = (history.committed.iter().enumerate())
        .map(|(at, entry)| (&*entry.id, at))
        .collect();
    let waits = |left: &Left, stop: &Stop| {
        let behind = || order.get(&*left.id) >= order.get(&*stop.id);
        left.id == stop.id || (left.key.is_some() && left.key == stop.key && behind())
    };
    let held_up = history.left.iter().filter(|left| {
        (lasting.get(&left.at)).is_some_and(|stops| !stops.iter().any(|stop| waits(left, stop)))
    });
    held_up.map(describe).collect()
}

/// Nothing is left to be published or done where nothing is stopped that lasts.
pub fn drained(history: &History) -> Vec<String> {
    let lasting = lasting(history);
    let left = history.left.iter();
    let left = left.filter(|left| !lasting.contains_key(&left.at));
    left.map(describe).collect()
}

fn describe(Left { at, key, id }: &Left) -> String {
    format!("{id} of key {key:?} is left at {at:?}")
}

/// Stops whose cause was never removed, and whose message has not gone on all the same.
fn lasting(history: &History) -> HashMap<&Place, Vec<&Stop>> {
    let mut lasting: HashMap<&Place, Vec<&Stop>> = HashMap::new();
    for stop in history.stops.iter().filter(|stop| stop.lasting) {
        let passed = passed(history, &stop.at);
        if !passed.iter().any(|(_, entry)| entry.id == stop.id) {
            lasting.entry(&stop.at).or_default().push(stop);
        }
    }
    lasting
}

/// What went on from a place, each with its number in the section.
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
