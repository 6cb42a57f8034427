//! What holds: the guarantees of the inbox, as its documentation states them.

use stateright::{Model as _, Property};

use crate::{
    message::{Key, Message},
    name::Name,
    offsets::Offsets,
};

use super::{
    Inbox,
    bounds::Bounds,
    state::{State, Whose},
};

type Guarantee = Property<Inbox>;

/// The effect of a message on a consumer is made once, however often it is delivered.
pub(super) const ONCE: &str = "an effect is made at most once";
/// Messages of one key run in order, through failures, retries and changes of owner; a stopped key is overtaken by none.
pub(super) const ORDER: &str = "effects of a key are in order";
/// An offset is committed only behind the transactions of all below it.
pub(super) const OFFSET: &str = "a committed offset has its effects";
/// Offsets never move back.
pub(super) const FORWARD: &str = "offsets never go back";
/// Partitions pause at a bound.
pub(super) const BOUNDED: &str = "what is finished above the lowest unfinished is bounded";
/// A batch writes its marks in one order.
pub(super) const NO_DEADLOCK: &str = "transactions never wait for each other";
/// What fails or stands still takes nobody of another key with it.
pub(super) const FLOW: &str = "at rest the other key is done";
/// No message is lost.
pub(super) const DRAINED: &str = "at rest all is done but what is stopped";

pub(super) fn properties(bounds: &Bounds) -> Vec<Guarantee> {
    let mut properties = vec![
        Guarantee::always(ONCE, |m, s| m.messages().all(|m| s.effects[m] <= 1)),
        Guarantee::always(ORDER, |_, s| !s.history.out_of_order),
        Guarantee::always(OFFSET, |m, s| {
            (0..s.offset).all(|offset| s.effects[m.message(offset)] > 0)
        }),
        Guarantee::always(FORWARD, |_, s| !s.history.offset_went_back),
        Guarantee::always(BOUNDED, |m, s| {
            Name::BOTH.iter().all(|name| {
                let worker = &s.workers[*name];
                let lowest = m.lowest_unfinished(worker);
                let above = worker.finished.without(Offsets::below(lowest));
                above.iter().all(|offset| offset < lowest + m.bounds.span)
            })
        }),
        Guarantee::always(NO_DEADLOCK, |m, s| {
            let blocker = |whose| match whose {
                Whose::Of(name, lane) => m.waits_for(s, name, lane),
                Whose::Nobodys => None,
            };
            let mut all = s.flights().map(|(whose, _)| whose);
            !all.any(|whose| blocker(whose).and_then(blocker) == Some(whose))
        }),
        Guarantee::always(FLOW, |m, s| {
            let mut of_l = m.messages().filter(|m| m.key() == Key::L);
            !is_at_rest(m, s)
                || of_l.all(|message| s.effects[message] > 0 || is_frozen(m, s, message))
        }),
        Guarantee::always(DRAINED, |m, s| {
            !m.bounds.server_ends || !is_at_rest(m, s) || is_done(m, s)
        }),
        Guarantee::sometimes("all is done and committed", |m, s| {
            m.bounds.poison.is_some() || (s.offset == m.end() && is_done(m, s))
        }),
    ];
    let most = bounds.mishaps;
    if most.rebalances > 0 {
        properties.push(Guarantee::sometimes("a former holder is first", |_, s| {
            s.history.zombie_was_first
        }));
    }
    if most.rebalances + most.crashes + most.lost_commits > 0 {
        properties.push(Guarantee::sometimes("a duplicate is admitted", |_, s| {
            s.history.duplicate
        }));
    }
    if bounds.poison.is_some() {
        properties.push(Guarantee::sometimes(
            "a key is stopped, the other flows",
            |m, s| is_at_rest(m, s) && is_done(m, s),
        ));
    }
    if bounds.retention {
        properties.push(Guarantee::sometimes("all marks are forgotten", |m, s| {
            s.offset == m.end() && s.marks.iter().all(|mark| !mark.exists)
        }));
    }
    properties
}

impl Inbox {
    fn messages(&self) -> impl Iterator<Item = Message> {
        self.bounds.log.iter().copied()
    }
}

/// Whether a stopped process holds a message's mark.
fn is_frozen(model: &Inbox, state: &State, message: Message) -> bool {
    state.flights().any(|(whose, flight)| {
        let mut fresh = flight.fresh.iter();
        let is_frozen = matches!(whose, Whose::Of(name, _) if state.workers[name].is_frozen);
        is_frozen && fresh.any(|offset| model.message(offset) == message)
    })
}

/// Nothing is left to do.
fn is_at_rest(model: &Inbox, state: &State) -> bool {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    actions.is_empty()
}

/// All has its effect, but for a poisonous message and those behind it; and all below is committed.
fn is_done(model: &Inbox, state: &State) -> bool {
    let stop = (0..model.end()).find(|o| Some(model.message(*o)) == model.bounds.poison);
    let first = stop.unwrap_or_else(|| model.end());
    let is_held = |offset: &u8| {
        *offset >= first
            && stop.is_some_and(|s| model.message(s).key() == model.message(*offset).key())
    };
    let mut others = (0..model.end()).filter(|offset| !is_held(offset));
    state.offset == first && others.all(|offset| state.effects[model.message(offset)] > 0)
}
