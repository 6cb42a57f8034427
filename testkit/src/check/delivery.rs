//! From the commit to the log.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    History,
    history::{Entry, Place},
};

/// Each committed message is published, or still to be published; each published one has its effect on each reader, or is
/// still to be done. Whether anything may still be there is for [`drained`](super::drained) to say. Of two messages of one id one is lost:
/// consumers take it for the other.
#[must_use]
pub fn nothing_lost(history: &History) -> Vec<String> {
    let left: HashSet<(&Place, &str)> = (history.left.iter())
        .map(|left| (&left.at, &*left.id))
        .collect();
    let mut published: HashSet<&str> = HashSet::new();
    let effects: HashSet<(&str, &str)> = (history.effects.iter())
        .map(|effect| (&*effect.consumer, &*effect.entry.id))
        .collect();
    let mut lost = Vec::new();
    for record in &history.published {
        let entry = &record.entry;
        if !published.insert(&entry.id) {
            continue;
        }
        for reader in history.readers.iter().filter(|r| r.topic == record.topic) {
            let consumer = &reader.consumer;
            if !effects.contains(&(consumer, &entry.id))
                && !left.contains(&(&Place::Consumer(consumer.clone()), &entry.id))
            {
                lost.push(format!(
                    "{entry:?} has no effect on {consumer}, and is not left to it"
                ));
            }
        }
    }
    let unpublished = history.committed.iter().filter(|entry| {
        !published.contains(&*entry.id) && !left.contains(&(&Place::Outbox, &*entry.id))
    });
    let mut ids: HashSet<&str> = HashSet::new();
    let twice = (history.committed.iter()).filter(|entry| !ids.insert(&entry.id));
    lost.extend(twice.map(|entry| format!("{entry:?} has the id of another message")));
    lost.extend(unpublished.map(|entry| format!("{entry:?} was not published, and is not left")));
    lost
}

/// Nothing was published, or has an effect, that was not committed just so.
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

/// Taking of each message the first time it was published, those of a key have the order of its commits, without a gap.
#[must_use]
pub fn first_deliveries_in_key_order(history: &History) -> Vec<String> {
    let order = KeyOrder::of(&history.committed);
    order.differences("", history.published.iter().map(|record| &record.entry))
}

/// No message was published twice: so it must be where no process died and no answer was lost. Not one of [`ALL`](super::ALL).
#[must_use]
pub fn each_published_once(history: &History) -> Vec<String> {
    let mut times: BTreeMap<&Entry, usize> = BTreeMap::new();
    for record in &history.published {
        *times.entry(&record.entry).or_default() += 1;
    }
    let often = times.into_iter().filter(|(_, times)| *times > 1);
    often
        .map(|(entry, times)| format!("{times} times: {entry:?}"))
        .collect()
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

    /// Of each key, the first place where what came for the first time differs from what was committed. What is missing at the
    /// end is lost, or left, and for others to say.
    pub(super) fn differences(
        &self,
        to: &str,
        came: impl IntoIterator<Item = &'a Entry>,
    ) -> Vec<String> {
        let mut seen: HashSet<&str> = HashSet::new();
        // How many of a key have come; none = it was told already.
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
            if expected == Some(&&*entry.id) {
                *place = Some(at + 1);
                continue;
            }
            *place = None;
            differences.push(format!(
                "key {key}, place {at}: {} came{to}, {} was committed there",
                entry.id,
                expected.unwrap_or(&"nothing"),
            ));
        }
        differences
    }
}
