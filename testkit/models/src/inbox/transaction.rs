//! Transactions: what they admit, what they wait for, and what their end makes of them.

use crate::{message::Key, name::Name, offsets::Offsets};

use super::{
    Inbox,
    rule::Rule,
    state::{Flight, Holder, State, Whose},
};

impl Inbox {
    /// What a message is known by.
    pub(super) fn identity(&self, offset: u8) -> usize {
        if self.has(Rule::IdentityOfMessage) {
            self.message(offset) as usize
        } else {
            usize::from(offset)
        }
    }

    /// The next message of a transaction that is to be admitted.
    fn next_to_admit(&self, flight: Flight, name: Name) -> Option<u8> {
        let mut left = flight.members.without(flight.admitted).iter();
        if name == Name::A && !self.has(Rule::MarksInOrder) {
            left.next_back()
        } else {
            left.next()
        }
    }

    /// Whose open transaction has written the mark that this one is to write next.
    pub(super) fn waits_for(&self, state: &State, name: Name, lane: Key) -> Option<Whose> {
        let own = Whose::Of(name, lane);
        let next = self.next_to_admit(state.workers[name].flights.of(lane), name)?;
        let mut others = state.flights().filter(|(whose, _)| *whose != own);
        let holder = others.find(|(_, flight)| {
            let mut fresh = flight.fresh.iter();
            let has_it = fresh.any(|offset| self.identity(offset) == self.identity(next));
            has_it && !flight.is_half_done
        });
        holder.map(|(whose, _)| whose)
    }

    pub(super) fn may_admit(&self, state: &State, name: Name, lane: Key) -> bool {
        let waits = self.has(Rule::OpenMarkIsWaitedFor) && self.has(Rule::UniqueMark);
        !waits || self.waits_for(state, name, lane).is_none()
    }

    pub(super) fn admit(&self, state: &mut State, name: Name, lane: Key) {
        let flight = state.workers[name].flights.of(lane);
        let Some(offset) = self.next_to_admit(flight, name) else {
            return;
        };
        let identity = self.identity(offset);
        let is_own = flight.fresh.iter().any(|o| self.identity(o) == identity);
        let is_open = self.has(Rule::UniqueMark) && self.waits_for(state, name, lane).is_some();
        let is_fresh = !state.marks[identity].exists && !is_own && !is_open;
        let flight = state.workers[name].flights.of_mut(lane);
        flight.admitted.insert(offset);
        if is_fresh {
            flight.fresh.insert(offset);
        }
    }

    /// Marks and effects, with all that the transaction has noted.
    pub(super) fn commit(&self, state: &mut State, flight: Flight) {
        let both = !flight.is_half_done;
        if both || !self.has(Rule::MarkWithEffect) {
            self.write_marks(state, flight);
        }
        if both || !self.has(Rule::EffectWithMark) {
            self.make_effects(state, flight);
        }
        state.history.duplicate |= flight.fresh != flight.admitted;
        state.history.seen = state.history.seen.and(flight.admitted);
    }

    pub(super) fn commit_half(&self, state: &mut State, name: Name, lane: Key) {
        let flight = state.workers[name].flights.of(lane);
        if self.has(Rule::EffectWithMark) {
            self.make_effects(state, flight);
        } else {
            self.write_marks(state, flight);
        }
        state.workers[name].flights.of_mut(lane).is_half_done = true;
    }

    fn write_marks(&self, state: &mut State, flight: Flight) {
        for offset in flight.admitted.iter() {
            let mark = &mut state.marks[self.identity(offset)];
            if flight.fresh.contains(offset) {
                mark.exists = true;
                mark.highest = offset;
            } else if self.has(Rule::CopiesAreNoted) {
                mark.highest = mark.highest.max(offset);
            }
        }
    }

    fn make_effects(&self, state: &mut State, flight: Flight) {
        for offset in flight.fresh.iter() {
            let message = self.message(offset);
            let mut earlier = (0..offset).map(|o| self.message(o));
            let overtakes =
                earlier.any(|m| m.key() == message.key() && m != message && state.effects[m] == 0);
            state.history.out_of_order |= state.effects[message] == 0 && overtakes;
            state.effects[message] = (state.effects[message] + 1).min(2);
        }
    }

    /// The worker hears that its transaction committed.
    pub(super) fn finish(state: &mut State, name: Name, lane: Key) {
        let Holder(holder) = state.holder;
        let flight = state.workers[name].flights.of(lane);
        state.history.zombie_was_first |= holder != name && flight.fresh != Offsets::NONE;
        let worker = &mut state.workers[name];
        worker.finished = worker.finished.and(flight.members);
        worker.behind = worker.behind.without(flight.members);
        *worker.flights.of_mut(lane) = Flight::NONE;
    }

    /// What was in it goes back to its lanes.
    pub(super) fn fail(&self, state: &mut State, name: Name, lane: Key) {
        let worker = &mut state.workers[name];
        let flight = worker.flights.of(lane);
        *worker.flights.of_mut(lane) = Flight::NONE;
        let is_poison = |offset: &u8| Some(self.message(*offset)) == self.bounds.poison;
        let poison = flight.fresh.iter().find(is_poison);
        let Some(culprit) = poison.or_else(|| flight.fresh.iter().next()) else {
            return;
        };
        if poison.is_none() {
            state.happened.failures += 1;
        }
        if flight.members.len() > 1 {
            worker.alone.insert(culprit);
        } else if poison.is_some() {
            worker.stopped.insert(culprit);
        }
        if !self.has(Rule::FailedGoesFirst) {
            worker.behind.insert(culprit);
        }
    }

    /// The members of a batch run alone from now on.
    pub(super) fn part(state: &mut State, name: Name, lane: Key) {
        let worker = &mut state.workers[name];
        worker.alone = worker.alone.and(worker.flights.of(lane).members);
        *worker.flights.of_mut(lane) = Flight::NONE;
    }

    pub(super) fn lose_sight(&self, state: &mut State, name: Name, lane: Key) {
        state.happened.lost_commits += 1;
        state.lost = state.workers[name].flights.of(lane);
        if self.has(Rule::UnknownIsTriedAgain) {
            *state.workers[name].flights.of_mut(lane) = Flight::NONE;
        } else {
            Self::finish(state, name, lane);
        }
    }
}
