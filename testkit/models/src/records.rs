//! Idempotency records, as built: the answer is kept in the transaction that makes the effect.
//!
//! Requests of one key, each sent again until it is answered. A request looks for a record in one
//! snapshot, then tries the key's advisory lock without waiting, makes its effect, inserts the
//! record, and commits. `L1` is a request of another tenant who chose the same text.

mod rules;
mod steps;

pub(crate) use rules::cases;

use crate::prelude::*;

use rules::Rule;

/// Which form the protocol has in a case.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Records {
    /// Whether the store has no advisory locks, as the one in memory.
    no_locks: bool,
    /// Whether the last request of the log asks for something else under its key.
    other_body: bool,
}

type Model = Bounded<Records>;

impl Protocol for Records {
    type State = State;
    type Rule = Rule;

    fn steps(model: &Model, steps: &mut Steps<'_, State>) {
        model.requests(steps);
        model.surroundings(steps);
    }

    fn guarantees(model: &Model) -> Guarantees<Self> {
        rules::guarantees(model)
    }

    fn view(state: &State) -> String {
        let stages: Vec<_> = state.requests.values().map(|r| r.stage).collect();
        let (records, locks, unheard) = (&state.records, &state.locks, &state.unheard);
        format!("{records:?} {locks:?} {unheard:?} {stages:?}")
    }
}

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(crate) struct State {
    pub(crate) requests: Each<Request>,
    /// The committed record of each key.
    pub(crate) records: Keyed<Option<Record>>,
    pub(crate) locks: Keyed<Lock>,
    /// A commit under way whose client has given it up.
    pub(crate) unheard: Keyed<Option<Message>>,
    /// Committed effects of each key in its lifetime; 2 = more than one.
    pub(crate) effects: Keyed<u8>,
    /// Requests whose effect is committed.
    pub(crate) made: Messages,
    /// The answer that was given in the key's lifetime.
    pub(crate) given: Keyed<Option<Message>>,
    pub(crate) another_answer: bool,
    pub(crate) phantom: bool,
    /// What happened, so that a run is not vacuous.
    pub(crate) replayed: bool,
    pub(crate) told_running: bool,
    pub(crate) lost_at_the_key: bool,
}

pub(crate) type Keyed<T> = EnumMap<Key, T>;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Request {
    pub(crate) stage: Stage,
    /// Whose answer it got.
    pub(crate) answer: Option<Message>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Stage {
    /// Not begun, or to be sent again.
    #[default]
    Waiting,
    /// Its snapshot shows no record.
    Looked,
    /// It is fresh.
    Claimed,
    Effected,
    /// Its record is inserted.
    Completed,
    Answered,
    /// The key belongs to another request.
    Mismatch,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Record {
    pub(crate) by: Message,
    pub(crate) has_expired: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Lock {
    #[default]
    Free,
    By(Message),
    /// Wrongly: by a session whose transaction is over.
    Leaked,
}
