//! Everything that there is at one moment.

use std::fmt;

use crate::{
    message::{Each, Key, Message},
    name::{Name, Pair},
    offsets::Offsets,
};

use super::bounds::Mishaps;

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    /// What the group has committed: everything below is finished.
    pub(crate) offset: u8,
    pub(crate) holder: Holder,
    pub(crate) workers: Pair<Worker>,
    /// A transaction that its client has lost sight of.
    pub(crate) lost: Flight,
    /// By identity, see `Inbox::identity`.
    pub(crate) marks: [Mark; 5],
    /// How often the effect of each message was committed; 2 = more than once.
    pub(crate) effects: Each<u8>,
    pub(crate) happened: Mishaps,
    pub(crate) history: History,
}

/// Whom the broker has given the partition to. At first it is A's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Holder(pub(crate) Name);

impl Default for Holder {
    fn default() -> Self {
        Self(Name::A)
    }
}

/// A committed mark.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Mark {
    pub(crate) exists: bool,
    /// The highest offset that its message is known to lie at.
    pub(crate) highest: u8,
}

/// What a worker's process knows and is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Worker {
    /// Whether it was given the partition since it started.
    pub(crate) is_at_it: bool,
    pub(crate) is_frozen: bool,
    /// Everything below was finished when it was given the partition.
    pub(crate) start: u8,
    pub(crate) finished: Offsets,
    /// Those that run alone from now on.
    pub(crate) alone: Offsets,
    /// Messages that cannot be handled.
    pub(crate) stopped: Offsets,
    /// Wrongly: those that failed and stand back.
    pub(crate) behind: Offsets,
    pub(crate) flights: Flights,
}

/// Its transactions, by the lane that they began with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Flights(pub(crate) [Flight; 2]);

impl Flights {
    pub(crate) const fn of(self, lane: Key) -> Flight {
        self.0[lane as usize]
    }

    pub(crate) const fn of_mut(&mut self, lane: Key) -> &mut Flight {
        &mut self.0[lane as usize]
    }
}

/// A transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Flight {
    /// Its messages; none = there is no transaction.
    pub(crate) members: Offsets,
    /// Those that were answered.
    pub(crate) admitted: Offsets,
    /// Those of them whose mark it wrote.
    pub(crate) fresh: Offsets,
    /// Wrongly: one half of what is to be committed was.
    pub(crate) is_half_done: bool,
}

impl Flight {
    pub(crate) const NONE: Self = Self {
        members: Offsets::NONE,
        admitted: Offsets::NONE,
        fresh: Offsets::NONE,
        is_half_done: false,
    };

    pub(crate) const fn is_open(self) -> bool {
        !self.members.is_empty()
    }

    pub(crate) fn is_admitted(self) -> bool {
        self.is_open() && self.admitted == self.members
    }
}

/// Whose transaction it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Of(Name, Key),
    /// Its client has lost sight of it.
    Nobodys,
}

/// What has ever happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(crate) struct History {
    pub(crate) out_of_order: bool,
    pub(crate) offset_went_back: bool,
    /// A duplicate was admitted and committed.
    pub(crate) duplicate: bool,
    /// A former holder made an effect that its successor had not made.
    pub(crate) zombie_was_first: bool,
    /// Offsets that were admitted in a transaction that committed.
    pub(crate) seen: Offsets,
}

impl State {
    pub(super) fn new() -> Self {
        let mut state = Self::default();
        state.workers[Name::A].is_at_it = true;
        state
    }

    /// All open transactions.
    pub(crate) fn flights(&self) -> impl Iterator<Item = (Whose, Flight)> {
        let of_workers = Name::BOTH.into_iter().flat_map(move |name| {
            let lanes = [Key::K, Key::L].into_iter();
            lanes.map(move |lane| (Whose::Of(name, lane), self.workers[name].flights.of(lane)))
        });
        let all = of_workers.chain([(Whose::Nobodys, self.lost)]);
        all.filter(|(_, flight)| flight.is_open())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effects: Vec<Message> = Message::ALL
            .into_iter()
            .filter(|m| self.effects[*m] > 0)
            .collect();
        let Holder(holder) = self.holder;
        write!(
            f,
            "offset {} of {holder:?} | effects {effects:?}",
            self.offset
        )?;
        for name in Name::BOTH {
            let worker = &self.workers[name];
            write!(f, " | {name:?} finished {:?}", worker.finished)?;
            for flight in worker.flights.0.iter().filter(|flight| flight.is_open()) {
                write!(f, " at {:?} fresh {:?}", flight.members, flight.fresh)?;
            }
        }
        if self.lost.is_open() {
            write!(f, " | lost {:?}", self.lost.fresh)?;
        }
        Ok(())
    }
}
