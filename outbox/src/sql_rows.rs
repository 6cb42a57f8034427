//! What the stores in SQL databases do with rows, whatever the database.

use bytes::Bytes;
use mainstay_messaging::{Key, Topic, envelope};

use crate::{Content, Place, round::with_causes};

/// A stored message and the lane it lies in.
pub(crate) fn content(
    topic: &str,
    key: Option<&str>,
    text: &str,
    payload: Option<&[u8]>,
) -> (Option<(Topic, Key)>, Content) {
    match (Topic::new(topic), key.map(Key::new).transpose()) {
        (Ok(topic), Ok(key)) => {
            let lane = key.clone().map(|key| (topic.clone(), key));
            let payload = payload.map(Bytes::copy_from_slice);
            let content = match envelope::read(text, topic, key, payload) {
                Ok(message) => Content::Message(message),
                Err(error) => Content::Unreadable(with_causes(&error)),
            };
            (lane, content)
        }
        (Err(error), _) | (_, Err(error)) => (None, Content::Unreadable(error.to_string())),
    }
}

/// Where a row lies within its table.
pub(crate) const fn position(place: Place) -> i64 {
    match place {
        Place::Log(position) | Place::Delayed(position) | Place::Stopped(position) => position,
    }
}

/// Those of the log, those of the side table.
pub(crate) fn split<T: Clone>(items: &[T], place: impl Fn(&T) -> Place) -> (Vec<T>, Vec<T>) {
    items
        .iter()
        .cloned()
        .partition(|item| matches!(place(item), Place::Log(_)))
}

/// Positions as runs, first and last: a drained log is one run, and deleting a run is one range of the primary key.
pub(crate) fn runs(mut positions: Vec<i64>) -> Vec<(i64, i64)> {
    positions.sort_unstable();
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for position in positions {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == position => *last = position,
            _ => runs.push((position, position)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_hold_exactly_the_positions_given(set in proptest::collection::btree_set(0..60i64, 0..40)) {
            let runs = runs(set.iter().copied().rev().collect());
            let held: Vec<i64> = runs.iter().flat_map(|(first, last)| *first..=*last).collect();
            prop_assert_eq!(held, set.into_iter().collect::<Vec<_>>());
            prop_assert!(runs.is_sorted());
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "runs touch");
        }
    }
}
