//! The inbox, as built: processed records, offsets, lanes, redelivery, retention.
//!
//! One partition; two workers. Either may be a *former holder* that does not know it and goes on. A
//! worker runs the messages of one key one after the other, those of different keys at once or in
//! one batch. A transaction admits messages, makes the effects of the fresh ones, and commits both.
//! Offsets are committed up to the lowest unfinished one. A message that cannot be handled blocks
//! its key and stays in the log. Retention prunes processed records.
//!
//! Statements are cut where one may wait for another's processed record. Every message of the log
//! can be started at once, up to the bound of the in-flight window.

mod rules;
mod steps;

pub(crate) use rules::cases;

use crate::prelude::*;

use rules::Rule;

/// Which form the protocol has in a case. A message that is in the log twice was sent twice.
#[derive(Clone, Copy, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(crate) struct Inbox {
    /// Whether all free messages go into one transaction, instead of one of each key into its own.
    batches: bool,
    /// The in-flight window: how far above the lowest unfinished message one may start; 0 = any.
    window: u8,
    /// A message whose handler always fails.
    poison: Option<Message>,
    /// Whether processed records are pruned.
    prunes: bool,
    /// Whether the broker takes offsets of a former holder, too, as long as they do not go back.
    former_commits: bool,
    /// Whether others give up waiting before the server ends the transactions of stopped processes.
    impatient: bool,
}

type Model = Bounded<Inbox>;

impl Protocol for Inbox {
    type State = State;
    type Rule = Rule;

    fn first(_: &Model) -> State {
        let mut state = State::default();
        state.workers[Name::A].is_assigned = true;
        state
    }

    fn steps(model: &Model, steps: &mut Steps<'_, State>) {
        model.workers(steps);
        model.surroundings(steps);
    }

    fn guarantees(model: &Model) -> Guarantees<Self> {
        rules::guarantees(model)
    }

    fn view(state: &State) -> String {
        let (offset, holder, effects) = (state.offset, state.holder, state.effects.all());
        let finished = state.workers.map(|_, worker| worker.finished);
        let flights = state.flights();
        let flights: Vec<_> = flights
            .map(|(whose, f)| (whose, f.members, f.fresh))
            .collect();
        format!("{offset} of {holder:?} effects {effects:?} finished {finished:?} at {flights:?}")
    }
}

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    /// What the group has committed: everything below is finished.
    pub(crate) offset: u8,
    /// Whom the broker has given the partition to.
    pub(crate) holder: Name,
    pub(crate) workers: Pair<Worker>,
    /// A transaction that its client has lost sight of.
    pub(crate) lost: Flight,
    /// Committed processed records by identity, see `Model::identity`.
    pub(crate) records: [Record; 5],
    pub(crate) effects: Outcomes,
    pub(crate) offset_went_back: bool,
    /// A duplicate was admitted and committed.
    pub(crate) has_duplicate: bool,
    /// A former holder made an effect that its successor had not made.
    pub(crate) zombie_was_first: bool,
    /// Offsets that were admitted in a transaction that committed.
    pub(crate) seen: Offsets,
}

/// A processed record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Record {
    pub(crate) exists: bool,
    /// The highest offset that its message is known to lie at.
    pub(crate) highest: u8,
}

/// What a worker's process knows and is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Worker {
    /// Whether it was given the partition since it started.
    pub(crate) is_assigned: bool,
    pub(crate) is_frozen: bool,
    /// Everything below was finished when it was given the partition.
    pub(crate) start: u8,
    pub(crate) finished: Offsets,
    /// Those that run alone from now on.
    pub(crate) alone: Offsets,
    /// Messages that cannot be handled, and block their keys.
    pub(crate) blocking: Offsets,
    /// Wrongly: those that failed and let others go first.
    pub(crate) behind: Offsets,
    /// Its transactions, by the lane that they began with.
    pub(crate) flights: EnumMap<Key, Flight>,
}

/// A transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Flight {
    /// Its messages; none = there is no transaction.
    pub(crate) members: Offsets,
    /// Those that were answered.
    pub(crate) admitted: Offsets,
    /// Those of them whose record it wrote.
    pub(crate) fresh: Offsets,
    /// Wrongly: one half of what is to be committed was.
    pub(crate) is_half_done: bool,
}

/// Whose transaction it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Of(Name, Key),
    /// Its client has lost sight of it.
    Nobodys,
}

impl Flight {
    pub(crate) const fn is_open(self) -> bool {
        !self.members.is_empty()
    }

    pub(crate) fn is_admitted(self) -> bool {
        self.is_open() && self.admitted == self.members
    }
}

impl Worker {
    pub(crate) fn has_transaction(&self) -> bool {
        self.flights.values().any(|flight| flight.is_open())
    }
}

impl State {
    /// All open transactions.
    pub(crate) fn flights(&self) -> impl Iterator<Item = (Whose, Flight)> {
        let of_workers = Name::BOTH.into_iter().flat_map(move |name| {
            let lanes = self.workers[name].flights.into_iter();
            lanes.map(move |(lane, flight)| (Whose::Of(name, lane), flight))
        });
        let all = of_workers.chain([(Whose::Nobodys, self.lost)]);
        all.filter(|(_, flight)| flight.is_open())
    }
}
