//! What holds: the guarantees of the outbox, by their numbers in its documentation.

use stateright::{Model as _, Property};

use crate::{message::Message, name::Name};

use super::{
    FirstForm,
    bounds::Bounds,
    state::{Stage, State},
};

type Guarantee = Property<FirstForm>;

/// Guarantee 1, the one half: a message is published if its transaction committed.
pub(super) const NO_LOSS: &str = "no committed message is lost";
/// Guarantee 1, the other half: and only then.
pub(super) const NO_PHANTOM: &str = "only committed messages are published";
/// Guarantee 2.
pub(super) const ONCE: &str = "once, without crash, lost answer or late owner";
/// Guarantee 3.
pub(super) const ORDER: &str = "first deliveries of a key are in order";
/// Guarantee 3, for writers that lock their aggregate's row first.
pub(super) const COMMIT_ORDER: &str = "writers that lock their row get commit order";
/// Guarantee 4.
pub(super) const REFUSED_WRITES: &str = "writes of a former owner are refused";
/// Guarantee 4: an epoch has one owner.
pub(super) const ONE_HOLDER: &str = "a fence has one holder";
/// Guarantee 4, as an observer of the broker sees it.
pub(super) const NEVER_AGAIN: &str = "the owner never sends again what was recorded";
/// Guarantees 5 and 6.
pub(super) const OWN_REFUSAL: &str = "a key is stopped by a refusal of its own";
/// Guarantees 1 and 6: when nothing is left to do, nothing is left.
pub(super) const DRAINED: &str = "at rest everything committed is out";

pub(super) fn properties(bounds: &Bounds) -> Vec<Guarantee> {
    let mut properties = vec![
        Guarantee::always(NO_LOSS, |m, s| {
            committed(m, s).all(|message| s.broker.stored[message] > 0 || is_kept(s, message))
        }),
        Guarantee::always(NO_PHANTOM, |_, s| !s.history.invented),
        Guarantee::always(ONCE, |m, s| {
            s.happened.excuse_a_duplicate()
                || m.bounds.messages.iter().all(|m| s.broker.stored[*m] <= 1)
        }),
        Guarantee::always(ORDER, |_, s| !s.history.out_of_order),
        Guarantee::always(COMMIT_ORDER, |_, s| !s.history.out_of_commit_order),
        Guarantee::always(REFUSED_WRITES, |_, s| !s.history.stale_write),
        Guarantee::always(ONE_HOLDER, |_, s| {
            let [a, b] = Name::BOTH.map(|name| s.relays[name].fence);
            a == 0 || a != b
        }),
        Guarantee::always(NEVER_AGAIN, |_, s| !s.history.sent_again),
        Guarantee::always(OWN_REFUSAL, |_, s| {
            let refused = s.history.refused;
            let mut held = s.database.held.iter();
            held.all(|message| refused.iter().any(|m| m.key() == message.key()))
        }),
        Guarantee::always(DRAINED, |m, s| {
            let mut actions = Vec::new();
            m.actions(s, &mut actions);
            !actions.is_empty() || is_drained(m, s)
        }),
        Guarantee::sometimes("everything is out", |m, s| {
            committed(m, s).count() == m.bounds.messages.len() && is_drained(m, s)
        }),
        Guarantee::sometimes("a row commits behind later ones that are out", |_, s| {
            s.history.gap_filled
        }),
    ];
    let most = bounds.mishaps;
    if most.refusals > 0 {
        properties.push(Guarantee::sometimes("a stopped key drains", |m, s| {
            s.history.refused.iter().next().is_some() && is_drained(m, s)
        }));
        properties.push(Guarantee::sometimes(
            "two wait in the side table",
            |_, s| s.database.held.iter().count() > 1,
        ));
    }
    if most.stalls + most.freezes > 0 {
        properties.push(Guarantee::sometimes("the shard is taken over", |_, s| {
            s.happened.stalls + s.happened.freezes > 0 && s.database.fence > 1
        }));
    }
    if most.stalls > 0 {
        properties.push(Guarantee::sometimes("a former owner is refused", |_, s| {
            s.history.fenced
        }));
        properties.push(Guarantee::sometimes("a former owner sends", |m, s| {
            m.bounds.messages.iter().any(|m| s.broker.stored[*m] > 1)
        }));
    }
    properties
}

fn committed(model: &FirstForm, state: &State) -> impl Iterator<Item = Message> {
    let messages = model.bounds.messages.iter().copied();
    messages.filter(|m| state.writers[*m].stage == Stage::Committed)
}

/// Whether somebody still has it: the log, the side table, or a relay that may come to send or move it.
fn is_kept(state: &State, message: Message) -> bool {
    let database = &state.database;
    database.log.contains(message)
        || database.held.contains(message)
        || Name::BOTH.into_iter().any(|name| {
            let round = &state.relays[name].round;
            round.rows.contains(message)
                || round.stopped.contains(message)
                || round.following.contains(message)
        })
}

fn is_drained(model: &FirstForm, state: &State) -> bool {
    let rests = state.database.log.is_empty() && state.database.held.is_empty();
    rests && committed(model, state).all(|message| state.broker.stored[message] > 0)
}
