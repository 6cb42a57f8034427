//! What holds: the guarantees of the outbox, by their numbers in its documentation.

use stateright::{Model as _, Property};

use crate::{message::Message, name::Name};

use super::{
    SecondForm,
    bounds::{Bounds, Cursor},
    log::above,
    state::{Stage, State},
};

type Guarantee = Property<SecondForm>;

/// Guarantee 1, the one half: what counts as published was, or waits in the side table.
pub(super) const NO_LOSS: &str = "no committed message is lost";
/// Guarantee 1, where storage is given back.
pub(super) const NOT_TRUNCATED: &str = "nothing is truncated unpublished";
/// Guarantee 1, the other half.
pub(super) const NO_PHANTOM: &str = "only committed messages are published";
/// Guarantee 2.
pub(super) const ONCE: &str = "once, without crash, takeover or lost answer";
/// Guarantee 3.
pub(super) const ORDER: &str = "first deliveries of a key are in order";
/// Guarantee 4, as an observer of the broker sees it.
pub(super) const NEVER_AGAIN: &str = "the owner never sends again what was recorded";
/// Guarantee 4: what a former owner writes changes nothing.
pub(super) const NEVER_BACK: &str = "the cursor never goes back";
/// Guarantees 1 and 6: when nothing is left to do, nothing is left.
pub(super) const DRAINED: &str = "at rest everything committed is out";

pub(super) fn properties(bounds: &Bounds) -> Vec<Guarantee> {
    let mut properties = vec![
        Guarantee::always(NO_LOSS, |m, s| {
            committed(m, s).all(|message| {
                let is_to_be_read = s.writers[message].position > s.cursor.watermark
                    && !s.cursor.published.contains(message);
                s.stored[message] > 0 || s.side.contains(message) || is_to_be_read
            })
        }),
        Guarantee::always(NOT_TRUNCATED, |_, s| {
            let mut truncated = s.storage.truncated.iter();
            truncated.all(|message| s.stored[message] > 0 || s.side.contains(message))
        }),
        Guarantee::always(NO_PHANTOM, |_, s| !s.history.invented),
        Guarantee::always(ONCE, |m, s| {
            s.happened.takeovers + s.happened.crashes + s.happened.lost_answers > 0
                || m.bounds.messages.iter().all(|m| s.stored[*m] <= 1)
        }),
        Guarantee::always(ORDER, |_, s| !s.history.out_of_order),
        Guarantee::always(NEVER_AGAIN, |_, s| !s.history.sent_again),
        Guarantee::always(NEVER_BACK, |m, s| {
            m.bounds.cursor == Cursor::Merged || Name::BOTH.iter().all(|n| knows_no_more(s, *n))
        }),
        Guarantee::always(DRAINED, |m, s| {
            let mut actions = Vec::new();
            m.actions(s, &mut actions);
            let has_owner = Name::BOTH
                .iter()
                .any(|name| s.relays[*name].fence == s.cursor.fence);
            !actions.is_empty() || !has_owner || is_drained(m, s)
        }),
        Guarantee::sometimes("everything is out and below the watermark", |m, s| {
            committed(m, s).count() == m.bounds.messages.len() && is_drained(m, s)
        }),
        Guarantee::sometimes("a hole fills behind what is published", |m, s| {
            committed(m, s).any(|hole| {
                let behind = above(s, s.cursor.published, s.writers[hole].position);
                s.stored[hole] == 0 && !behind.is_empty()
            })
        }),
    ];
    if bounds.mishaps.refusals > 0 {
        properties.push(Guarantee::sometimes(
            "two wait in the side table",
            |_, s| s.side.iter().count() > 1,
        ));
    }
    if bounds.mishaps.takeovers > 0 {
        properties.push(Guarantee::sometimes("a former owner sends", |m, s| {
            s.happened.crashes + s.happened.lost_answers == 0
                && m.bounds.messages.iter().any(|m| s.stored[*m] > 1)
        }));
    }
    if bounds.truncation {
        properties.push(Guarantee::sometimes("a partition is truncated", |_, s| {
            !s.storage.truncated.is_empty()
        }));
    }
    properties
}

fn committed(model: &SecondForm, state: &State) -> impl Iterator<Item = Message> {
    let messages = model.bounds.messages.iter().copied();
    messages.filter(|m| state.writers[*m].stage == Stage::Committed)
}

/// Whether all that the owner has written down is in the cursor's row.
fn knows_no_more(state: &State, name: Name) -> bool {
    let (relay, cursor) = (&state.relays[name], &state.cursor);
    let is_owner = relay.fence == cursor.fence;
    let missing = relay.published.without(cursor.published);
    let has_all = above(state, missing, cursor.watermark).is_empty();
    !is_owner || (cursor.watermark >= relay.watermark && has_all)
}

fn is_drained(model: &SecondForm, state: &State) -> bool {
    state.side.is_empty()
        && state.cursor.watermark == state.drawn
        && committed(model, state).all(|message| state.stored[message] > 0)
}
