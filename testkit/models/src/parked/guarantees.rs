//! What holds: the guarantees of `inbox` and `dlq` in the patterns.

use stateright::Property;

use crate::{
    message::{Key, Message},
    name::Name,
};

use super::{
    Parked,
    bounds::Bounds,
    state::{DeskStep, State, Step},
    tables::Kept,
};

type Guarantee = Property<Parked>;

/// inbox: the effect of a message happens once; dlq: two replays at once do it once.
pub(super) const ONCE: &str = "an effect is made at most once";
/// dlq: order survives; no live message of the key overtakes.
pub(super) const ORDER: &str = "effects of a key are in order";
/// dlq: a key goes on only when nothing of it is parked.
pub(super) const HAS_ROW: &str = "a parked message has its stopped-key row";
/// dlq: nothing disappears.
pub(super) const NOTHING_VANISHES: &str = "at rest each message is done, parked or discarded";
/// dlq: what has to go on is in the row: the sweep hands back keys without parked messages.
pub(super) const NO_EMPTY_ROW: &str = "at rest a stopped key has parked messages";
/// dlq: from the replay of the head on, anybody goes on with the followers, until one fails.
pub(super) const NONE_LEFT: &str = "at rest the head of a stopped key has failed";
/// dlq: other keys flow.
pub(super) const FLOW: &str = "at rest the other key is done";
/// dlq: a message is done, parked, discarded or not yet seen; a discarded one that comes again is a duplicate.
pub(super) const DISCARDED: &str = "a discarded message has no effect";
/// inbox: the server ends the transaction of a stopped process.
pub(super) const NO_DEADLOCK: &str = "nobody waits for ever";
/// inbox: an offset is committed behind what was done or kept.
pub(super) const OFFSET: &str = "a committed offset has its marks";

pub(super) fn properties(bounds: &Bounds) -> Vec<Guarantee> {
    let mut properties = vec![
        Guarantee::always(ONCE, |m, s| m.log().all(|m| s.effects[m] <= 1)),
        Guarantee::always(ORDER, |_, s| !s.history.out_of_order),
        Guarantee::always(HAS_ROW, |_, s| {
            s.tables.row.exists || s.tables.parked().is_empty()
        }),
        Guarantee::always(NOTHING_VANISHES, |m, s| {
            !is_quiet(m, s)
                || m.log().all(|message| match s.tables.marks[message].kept {
                    Kept::Nothing => false,
                    Kept::Done => s.effects[message] > 0,
                    Kept::Parked | Kept::Discarded => true,
                })
        }),
        Guarantee::always(NO_EMPTY_ROW, |m, s| {
            !is_quiet(m, s) || !s.tables.row.exists || !s.tables.parked().is_empty()
        }),
        Guarantee::always(NONE_LEFT, |m, s| {
            let head = s.tables.parked().iter().next();
            !is_quiet(m, s) || head.is_none_or(|head| s.history.failed.contains(head))
        }),
        Guarantee::always(FLOW, |m, s| {
            let mut others = m.log().filter(|m| m.key() == Key::L);
            !is_at_rest(m, s) || others.all(|m| s.tables.marks[m].kept == Kept::Done)
        }),
        Guarantee::always(NO_DEADLOCK, |m, s| !is_at_rest(m, s) || !is_waiting(s)),
        Guarantee::always(OFFSET, |m, s| {
            let mut below = (0..s.offset).map(|offset| m.message(offset));
            below.all(|message| s.tables.marks[message].kept != Kept::Nothing)
        }),
        Guarantee::sometimes("two are parked", |_, s| {
            s.tables.parked().iter().count() > 1
        }),
    ];
    if !bounds.is_kept {
        properties.push(Guarantee::sometimes("a former holder is first", |_, s| {
            s.history.zombie_was_first
        }));
    }
    if !bounds.restore {
        properties.push(Guarantee::always(DISCARDED, |_, s| {
            s.history.discarded.iter().all(|m| s.effects[m] == 0)
        }));
    }
    if bounds.mishaps.acts > 0 {
        properties.push(Guarantee::sometimes(
            "all is done after a replay",
            |m, s| {
                !s.history.failed.is_empty()
                    && !s.tables.row.exists
                    && m.log().all(|m| s.effects[m] == 1)
            },
        ));
        properties.push(Guarantee::sometimes("a key drains", |_, s| {
            let row = &s.tables.row;
            row.exists && row.is_draining && !s.tables.parked().is_empty()
        }));
    }
    properties
}

impl Parked {
    fn log(&self) -> impl Iterator<Item = Message> {
        self.bounds.log.iter().copied()
    }
}

/// Nothing has to be done any more, or can be.
fn is_at_rest(model: &Parked, state: &State) -> bool {
    let mut duties = Vec::new();
    model.duties(state, &mut duties);
    duties.is_empty()
}

/// Somebody is in the middle of something.
fn is_waiting(state: &State) -> bool {
    Name::BOTH.iter().any(|name| {
        let worker = &state.workers[*name];
        let works = worker.is_up && worker.step != Step::Idle;
        works || state.desks[*name].step != DeskStep::Idle
    })
}

fn is_quiet(model: &Parked, state: &State) -> bool {
    is_at_rest(model, state) && !is_waiting(state)
}
