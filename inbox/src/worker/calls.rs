//! How the messages of a batch are grouped into calls of handlers.

use std::{collections::HashMap, hash::Hash};

/// Groups messages into calls, as indices into the input. Each message is given, in order, as its
/// lane and the label of its batch handler, if it has one.
///
/// Each call is of one handler, and a handler of single events gets one message per call. Messages
/// of one lane keep their order within and across calls. Messages of different lanes may change
/// places, so that a batch handler gets as many events as possible at once.
pub(super) fn calls<L: Eq + Hash + Copy, H: Eq + Hash + Copy>(
    messages: &[(L, Option<H>)],
) -> Vec<Vec<usize>> {
    // Mostly, one batch handler takes all.
    if let Some((_, Some(first))) = messages.first()
        && messages
            .iter()
            .all(|(_, handler)| handler.as_ref() == Some(first))
    {
        return vec![(0..messages.len()).collect()];
    }
    let mut calls: Vec<Vec<usize>> = Vec::new();
    let mut open: HashMap<H, usize> = HashMap::new();
    let mut last_of_lane: HashMap<L, usize> = HashMap::new();
    for (index, (lane, handler)) in messages.iter().enumerate() {
        let not_before = last_of_lane.get(lane).copied().unwrap_or(0);
        let joins = handler
            .and_then(|handler| open.get(&handler).copied())
            .filter(|call| *call >= not_before);
        let call = if let Some(call) = joins {
            if let Some(call) = calls.get_mut(call) {
                call.push(index);
            }
            call
        } else {
            calls.push(vec![index]);
            let call = calls.len() - 1;
            if let Some(handler) = handler {
                open.insert(*handler, call);
            }
            call
        };
        last_of_lane.insert(*lane, call);
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn another_kind_between_two_of_a_key_splits_the_call() {
        let calls = calls(&[
            (1, Some('a')),
            (2, Some('a')),
            (1, None),
            (1, Some('a')),
            (3, Some('a')),
        ]);
        assert_eq!(calls, [vec![0, 1], vec![2], vec![3, 4]]);
    }

    proptest! {
        #[test]
        fn every_message_is_called_once_and_each_lane_in_order(messages in proptest::collection::vec((0..4u8, proptest::option::of(0..3u8)), 0..40)) {
            let calls = calls(&messages);
            let order: Vec<usize> = calls.iter().flatten().copied().collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..messages.len()).collect::<Vec<_>>());
            for lane in 0..4 {
                let of_lane: Vec<usize> = order.iter().copied().filter(|i| messages[*i].0 == lane).collect();
                prop_assert!(of_lane.is_sorted(), "lane {lane} runs as {of_lane:?}");
            }
            for call in &calls {
                let handler = messages[call[0]].1;
                prop_assert!(call.iter().all(|i| messages[*i].1 == handler));
                prop_assert!(handler.is_some() || call.len() == 1);
            }
        }
    }
}
