//! From the commit to the log, and what an outbox may let go of.

use std::collections::{HashMap, HashSet};

use super::{first_places, repeated};
use crate::{
    History,
    history::{Entry, Location, Removal},
};

/// Each committed message is published or left, and has its effect on each reader or is left to it.
/// Of two messages of one id one is lost: consumers take it for the other.
pub fn nothing_lost(history: &History) -> Vec<String> {
    let left: HashSet<(&Location, &str)> = (history.left.iter())
        .map(|left| (&left.at, &*left.id))
        .collect();
    let published = first_places(history.published.iter().map(|record| &*record.entry.id));
    let effects = (history.effects.iter()).map(|effect| (&*effect.consumer, &*effect.entry.id));
    let effects: HashSet<(&str, &str)> = effects.collect();
    let mut lost = Vec::new();
    for (at, record) in history.published.iter().enumerate() {
        let entry = &record.entry;
        for reader in history.readers.iter().filter(|r| r.topic == record.topic) {
            let consumer = &reader.consumer;
            if published.get(&*entry.id) == Some(&at)
                && !effects.contains(&(consumer, &entry.id))
                && !left.contains(&(&Location::Consumer(consumer.clone()), &entry.id))
            {
                lost.push(format!(
                    "{entry:?} has no effect on {consumer}, and is not left to it"
                ));
            }
        }
    }
    let mut ids: HashSet<&str> = HashSet::new();
    for entry in &history.committed {
        if !ids.insert(&entry.id) {
            lost.push(format!("{entry:?} has the id of another message"));
        }
        if !published.contains_key(&*entry.id) && !left.contains(&(&Location::Outbox, &*entry.id)) {
            lost.push(format!("{entry:?} was not published, and is not left"));
        }
    }
    lost
}

/// Nothing was published, or has an effect, that was not committed just so.
pub fn no_phantom(history: &History) -> Vec<String> {
    let committed: HashSet<&Entry> = history.committed.iter().collect();
    let published = (history.published.iter())
        .filter(|record| !committed.contains(&record.entry))
        .map(|record| format!("published: {record:?}"));
    let effects = (history.effects.iter())
        .filter(|effect| !committed.contains(&effect.entry))
        .map(|effect| format!("done: {effect:?}"));
    published.chain(effects).collect()
}

/// First deliveries of a key come in the order of its commits, without a gap.
pub fn first_deliveries_in_key_order(history: &History) -> Vec<String> {
    let order = KeyOrder::of(&history.committed);
    order.differences("", history.published.iter().map(|record| &record.entry))
}

/// No message was published twice. Not in [`ALL`](super::ALL): crashes and lost answers repeat some.
pub fn each_published_once(history: &History) -> Vec<String> {
    repeated(history.published.iter().map(|record| &record.entry))
        .map(|(entry, times)| format!("{times} times: {entry:?}"))
        .collect()
}

/// No outbox lets go of a message that was not published by then.
pub fn nothing_unpublished_removed(history: &History) -> Vec<String> {
    let first = first_places(history.published.iter().map(|record| &*record.entry.id));
    let removed = history.removals.iter().filter_map(|removal| {
        let Removal::Row { id, seen } = removal else {
            return None;
        };
        let was_published = first.get(&**id).is_some_and(|at| *at < seen.published);
        (!was_published).then(|| format!("{id} was removed before it was published"))
    });
    removed.collect()
}

/// The order of commits, by key.
pub(super) struct KeyOrder<'a>(HashMap<&'a str, Vec<&'a str>>);

impl<'a> KeyOrder<'a> {
    pub(super) fn of(committed: &'a [Entry]) -> Self {
        let mut order: HashMap<&str, Vec<&str>> = HashMap::new();
        for entry in committed {
            if let Some(key) = &entry.key {
                order.entry(key).or_default().push(&entry.id);
            }
        }
        Self(order)
    }

    /// Of each key, the first place where first deliveries differ from commits. A missing end is for
    /// other checks.
    pub(super) fn differences(
        &self,
        to: &str,
        came: impl IntoIterator<Item = &'a Entry>,
    ) -> Vec<String> {
        let mut seen: HashSet<&str> = HashSet::new();
        // How many of a key have come; none = a difference was told already.
        let mut places: HashMap<&str, Option<usize>> = HashMap::new();
        let mut differences = Vec::new();
        for entry in came {
            let Some(key) = &entry.key else { continue };
            if !seen.insert(&entry.id) {
                continue;
            }
            let place = places.entry(key).or_insert(Some(0));
            let Some(at) = *place else { continue };
            let expected = self.0.get(&**key).and_then(|order| order.get(at));
            *place = (expected == Some(&&*entry.id)).then_some(at + 1);
            if place.is_none() {
                let (id, expected) = (&entry.id, expected.unwrap_or(&"nothing"));
                differences.push(format!(
                    "key {key}, place {at}: {id} came{to}, {expected} was committed there"
                ));
            }
        }
        differences
    }
}
