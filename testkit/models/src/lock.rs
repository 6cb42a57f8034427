//! Locks with fencing tokens, as built in `dlock`.
//!
//! Two clients want to write once each, under one lock. `K1` stands for the write of `A`, `K2` for that of `B`. A client asks the
//! store for the lock, hears of it, is polled, and in its transaction checks its token before it commits.
//!
//! A lease has two ends. The client's own deadline passes first, and the store ends the lease after that. Either
//! comes at any step. A client may be stopped in the middle of a poll, so that what it sends comes late; and what it
//! has sent arrives at any later step. Renewals only move both ends and are left out.

mod rules;
mod steps;

pub(crate) use rules::cases;

use crate::prelude::*;

use rules::Rule;

/// There is one form.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Lock;

type Model = Bounded<Lock>;

impl Protocol for Lock {
    type State = State;
    type Rule = Rule;

    fn steps(model: &Model, steps: &mut Steps<'_, State>) {
        for name in Name::BOTH {
            model.client(name, steps);
            model.late_requests(name, steps);
            model.time(name, steps);
            Model::mishaps(name, steps);
        }
        steps.mishap(ServerCrash, "the store", "loses its data", |s| {
            (s.row, s.drawn, s.newest) = (Row::default(), 0, 0);
        });
    }

    fn guarantees(model: &Model) -> Guarantees<Self> {
        rules::guarantees(model)
    }

    fn view(state: &State) -> String {
        let clients = state.clients.values().map(|c| (c.at, c.token, c.work));
        let clients: Vec<_> = clients.collect();
        format!("{:?} fence {} {clients:?}", state.row, state.fence)
    }
}

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(crate) struct State {
    /// The lock in the store.
    pub(crate) row: Row,
    /// The last token that the store has drawn, and the largest that it has granted.
    pub(crate) drawn: u8,
    pub(crate) newest: u8,
    /// The newest token that the guarded resource has accepted.
    pub(crate) fence: u8,
    /// Who has the row of the fence locked.
    pub(crate) checking: Option<Name>,
    /// How often the resource was written.
    pub(crate) version: u8,
    pub(crate) clients: Pair<Client>,
    pub(crate) polled_beside: bool,
    pub(crate) token_fell: bool,
    pub(crate) stale_write: bool,
    pub(crate) lost_write: bool,
    pub(crate) freed_other: bool,
    pub(crate) below_told: bool,
    /// A holder was refused.
    pub(crate) refused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Row {
    /// Which attempt of whom, unless the lock is free.
    pub(crate) owner: Option<(Name, u8)>,
    pub(crate) token: u8,
    /// Whether the lease has ended.
    pub(crate) ended: bool,
}

impl Row {
    /// Whether this attempt may take it.
    pub(crate) fn is_free_for(self, owner: (Name, u8)) -> bool {
        self.ended || self.owner.is_none_or(|other| other == owner)
    }

    /// Whether somebody has it whose lease has not ended.
    pub(crate) const fn is_held(self) -> bool {
        self.owner.is_some() && !self.ended
    }
}

/// What a client's process knows and is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(crate) struct Client {
    pub(crate) at: At,
    /// Which acquisition it is at; its owner's id in the store.
    pub(crate) attempt: u8,
    pub(crate) token: u8,
    /// Whether the deadline has passed that it counts from before its last request.
    pub(crate) passed: bool,
    /// Whether it is in the middle of a poll of its work.
    pub(crate) polled: bool,
    pub(crate) work: Work,
    pub(crate) has_written: bool,
    /// What a refused check has told it.
    pub(crate) told: u8,
    /// A request of an attempt that it has given up, which has yet to arrive.
    pub(crate) late_request: Option<u8>,
    /// Attempts to be released in the background.
    pub(crate) give_back: Offsets,
    /// It has given up, or it died.
    pub(crate) is_gone: bool,
    pub(crate) has_died: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum At {
    #[default]
    Idle,
    /// Its request is under way.
    Asking,
    /// Wrongly: its token is drawn, and it is not the owner yet.
    Drawn(u8),
    /// It is the owner, and the answer is under way.
    Granted(u8),
    Holding,
    /// Its release is under way.
    Releasing,
    /// It is released, and the answer is under way.
    Released,
    Done,
}

/// Its transaction on the guarded resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Work {
    #[default]
    None,
    /// The token was accepted; the version that it found.
    Checked(u8),
    /// Its commit is under way, with this token.
    Committing(u8, u8),
}
