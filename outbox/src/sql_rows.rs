//! What all stores in SQL databases do with rows.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_messaging::{InvalidName, Key, Topic, envelope};

use crate::{
    round::with_causes,
    store::{Content, RowRef},
};

/// A stored message and its ordering key. If a column holds no text or no valid name, the message is
/// unreadable and its row stays unchanged.
pub(crate) fn content(
    topic: &[u8],
    key: Option<&[u8]>,
    text: &[u8],
    payload: Option<&[u8]>,
) -> (Option<(Topic, Key)>, Content) {
    let names = (
        name(topic, "topic", Topic::new),
        key.map(|key| name(key, "key", Key::new)).transpose(),
    );
    let (topic, key) = match names {
        (Ok(topic), Ok(key)) => (topic, key),
        (Err(reason), _) | (_, Err(reason)) => return (None, Content::Unreadable(reason)),
    };
    let ordering_key = key.clone().map(|key| (topic.clone(), key));
    let payload = payload.map(Bytes::copy_from_slice);
    let read = match str::from_utf8(text) {
        Ok(text) => envelope::read(text, topic, key, payload).map_err(|error| with_causes(&error)),
        Err(error) => Err(format!("the stored envelope is damaged: {error}")),
    };
    (
        ordering_key,
        read.map_or_else(Content::Unreadable, Content::Message),
    )
}

/// The id and the kind in a stored envelope, for lists. A damaged one has none.
pub(crate) fn identity(envelope: &[u8]) -> Option<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Identity {
        id: String,
        kind: String,
    }
    let Identity { id, kind } = serde_json::from_slice(envelope).ok()?;
    Some((id, kind))
}

fn name<N>(
    bytes: &[u8],
    what: &str,
    new: impl FnOnce(Arc<str>) -> Result<N, InvalidName>,
) -> Result<N, String> {
    let text = str::from_utf8(bytes).map_err(|error| format!("damaged {what}: {error}"))?;
    new(text.into()).map_err(|error| error.to_string())
}

/// The position of a row in its table.
pub(crate) const fn position(row_ref: RowRef) -> i64 {
    match row_ref {
        RowRef::Log(position) | RowRef::Delayed(position) | RowRef::Blocked(position) => position,
    }
}

/// Splits items into those of the log and those of the deferred table.
pub(crate) fn split<T: Clone>(items: &[T], row_ref: impl Fn(&T) -> RowRef) -> (Vec<T>, Vec<T>) {
    items
        .iter()
        .cloned()
        .partition(|item| matches!(row_ref(item), RowRef::Log(_)))
}

/// Positions as runs of first and last. A run is deleted as one range of the primary key, and a
/// drained log is one run.
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
        fn runs_contain_exactly_the_positions_given(set in proptest::collection::btree_set(0..60i64, 0..40)) {
            let runs = runs(set.iter().copied().rev().collect());
            let contained: Vec<i64> = runs.iter().flat_map(|(first, last)| *first..=*last).collect();
            prop_assert_eq!(contained, set.into_iter().collect::<Vec<_>>());
            prop_assert!(runs.is_sorted());
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "runs touch");
        }
    }
}
