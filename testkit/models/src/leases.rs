//! Idempotency leases, as built: the key is in a store of its own, the effect elsewhere.
//!
//! Requests of one key, each sent again until it is answered. A request begins the key, makes its
//! effect under a lease, keeps the answer, and gives it. Any process may be a *former holder* that
//! does not know it. The effect carries a key of its own, so asking for it twice is one effect; each
//! holder has an answer of its own, and only one of them may be given.

mod rules;
mod steps;

pub(crate) use rules::cases;

use crate::prelude::*;

use rules::Rule;

/// Which form the protocol has in a case.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Leases {
    /// Whether the last request of the log asks for something else under its key.
    other_body: bool,
}

type Model = Bounded<Leases>;

impl Protocol for Leases {
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
        let requests: Vec<_> = state
            .requests
            .values()
            .map(|r| (r.stage, r.token))
            .collect();
        format!("{:?} {requests:?}", state.keys)
    }
}

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(crate) struct State {
    pub(crate) requests: Each<Request>,
    /// What the store knows.
    pub(crate) keys: Keyed<Slot>,
    /// Time as far as tokens are made of it: it goes on with each lease, whatever the store forgets.
    pub(crate) time: u8,
    /// The highest token of each key.
    pub(crate) highest: Keyed<u8>,
    /// The answer that was given in the key's lifetime.
    pub(crate) given: Keyed<Option<Message>>,
    pub(crate) another_answer: bool,
    pub(crate) two_holders: bool,
    pub(crate) token_regressed: bool,
    pub(crate) late_work: bool,
    pub(crate) foreign_renewal: bool,
    /// The effect of one request was made, and another one with its key was begun.
    pub(crate) another_body: bool,
    /// What happened, so that a run is not vacuous.
    pub(crate) replayed: bool,
    pub(crate) taken_over: bool,
    pub(crate) fenced: bool,
}

pub(crate) type Keyed<T> = EnumMap<Key, T>;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Request {
    pub(crate) stage: Stage,
    pub(crate) token: u8,
    /// Whose answer it got.
    pub(crate) answer: Option<Message>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Stage {
    /// Not begun, or to be sent again.
    #[default]
    Waiting,
    /// It has the lease, as far as it knows.
    Working,
    /// Its effect is made.
    Made,
    Answered,
    /// The key belongs to another request.
    Mismatch,
}

/// What the store knows of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Slot {
    pub(crate) is: Is,
    pub(crate) token: u8,
    /// Whose lease or answer it is.
    pub(crate) by: Option<Message>,
    /// Whether that one lives and knows of its lease.
    pub(crate) has_holder: bool,
    /// Whether an effect was made since the key was free.
    pub(crate) is_made: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Is {
    #[default]
    Free,
    Leased,
    /// The lease has ended, and nobody has taken over.
    Ended,
    Done,
}
