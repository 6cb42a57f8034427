//! From the commit to the log, and which rows an outbox may remove.

use std::collections::{HashMap, HashSet};

use super::{first_places, repeated};
use crate::{
    History,
    history::{Entry, Place, Removal},
};

/// Each committed message is published or still to be published; each published one has an effect
/// on each reader or is still to be handled. Two committed messages have different ids: consumers
/// would take one for a duplicate of the other.
///
/// [`drained`](super::drained) says whether messages may still be waiting.
#[must_use]
pub fn nothing_lost(history: &History) -> Vec<String> {
    let left: HashSet<(&Place, &str)> = (history.left.iter())
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
                && !left.contains(&(&Place::Consumer(consumer.clone()), &entry.id))
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
        if !published.contains_key(&*entry.id) && !left.contains(&(&Place::Outbox, &*entry.id)) {
            lost.push(format!("{entry:?} was not published, and is not left"));
        }
    }
    lost
}

/// Each published message, and each message with an effect, was committed with this content.
#[must_use]
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

/// The first publications of the messages of a key are in the order of its commits, without a gap.
#[must_use]
pub fn first_deliveries_in_key_order(history: &History) -> Vec<String> {
    let order = KeyOrder::of(&history.committed);
    order.differences("", history.published.iter().map(|record| &record.entry))
}

/// No message was published twice. This holds only in a run in which no process died and no answer
/// was lost, so it is not one of [`ALL`](super::ALL).
#[must_use]
pub fn each_published_once(history: &History) -> Vec<String> {
    repeated(history.published.iter().map(|record| &record.entry))
        .map(|(entry, times)| format!("{times} times: {entry:?}"))
        .collect()
}

/// No outbox removes the row of a message before it is published.
#[must_use]
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

    /// For each key, the first place at which the message that came differs from the one that was
    /// committed there. Repetitions do not count. Messages missing at the end are lost or left,
    /// which other invariants check.
    pub(super) fn differences(
        &self,
        to: &str,
        came: impl IntoIterator<Item = &'a Entry>,
    ) -> Vec<String> {
        let mut seen: HashSet<&str> = HashSet::new();
        // How many messages of a key have come; `None` once a difference was found.
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
