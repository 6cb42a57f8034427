//! The log, its offsets, who holds it, and what each step does.

use crate::{message::Message, name::Name, offsets::Offsets};

use super::{
    Inbox,
    action::Action,
    rule::Rule,
    state::{Flight, Flights, Holder, State, Worker},
};

impl Inbox {
    pub(super) fn take(&self, state: &mut State, action: Action) {
        match action {
            Action::Start(name, lane) => {
                let members = self.next_of(state, name, lane);
                *state.workers[name].flights.of_mut(lane) = Flight {
                    members,
                    ..Flight::NONE
                };
                if !self.has(Rule::FinishedWhenCommitted) {
                    let worker = &mut state.workers[name];
                    worker.finished = worker.finished.and(members);
                }
            }
            Action::Admit(name, lane) => self.admit(state, name, lane),
            Action::LockTimeout(name, lane) => Self::part(state, name, lane),
            Action::Fail(name, lane) => self.fail(state, name, lane),
            Action::CommitHalf(name, lane) => self.commit_half(state, name, lane),
            Action::Commit(name, lane) => {
                let flight = state.workers[name].flights.of(lane);
                self.commit(state, flight);
                Self::finish(state, name, lane);
            }
            Action::CommitUnanswered(name, lane) => self.lose_sight(state, name, lane),
            Action::LostCommits => {
                let flight = state.lost;
                state.lost = Flight::NONE;
                self.commit(state, flight);
            }
            Action::LostRollsBack => state.lost = Flight::NONE,
            Action::CommitOffset(name) => {
                let offset = self.committable(&state.workers[name]);
                state.history.offset_went_back |= offset < state.offset;
                state.offset = offset;
            }
            Action::Rebalance(heir) => {
                if !state.workers[heir.other()].is_frozen {
                    state.happened.rebalances += 1;
                }
                state.holder = Holder(heir);
                self.assign(state, heir);
            }
            Action::Crash(name) => {
                state.happened.crashes += 1;
                if state.holder == Holder(name) {
                    self.assign(state, name);
                } else {
                    self.outlive(state, name);
                    state.workers[name] = Worker::default();
                }
            }
            Action::Freeze(name) => {
                state.happened.freezes += 1;
                state.workers[name].is_frozen = true;
            }
            Action::ServerEnds(name) => state.workers[name].flights = Flights::default(),
            Action::Forget(identity) => state.marks[identity].exists = false,
        }
    }

    /// A worker is given the partition from the committed offset on, and forgets what it had in hand.
    fn assign(&self, state: &mut State, name: Name) {
        self.outlive(state, name);
        state.workers[name] = Worker {
            is_at_it: true,
            start: state.offset,
            finished: Offsets::below(state.offset),
            ..Worker::default()
        };
    }

    /// A transaction that is about to commit when its worker goes may still do so.
    fn outlive(&self, state: &mut State, name: Name) {
        let is_poison = |offset: u8| Some(self.message(offset)) == self.bounds.poison;
        let flights = state.workers[name].flights.0.into_iter();
        let mut committing = flights
            .filter(|flight| flight.is_admitted() && !flight.is_half_done)
            .filter(|flight| !flight.fresh.iter().any(is_poison));
        if !state.lost.is_open()
            && let Some(flight) = committing.next()
        {
            state.lost = flight;
        }
    }

    pub(super) fn message(&self, offset: u8) -> Message {
        self.bounds.log[usize::from(offset)]
    }

    pub(super) fn end(&self) -> u8 {
        u8::try_from(self.bounds.log.len()).unwrap_or(u8::MAX)
    }

    pub(super) fn lowest_unfinished(&self, worker: &Worker) -> u8 {
        let unfinished = (0..self.end()).find(|offset| !worker.finished.contains(*offset));
        unfinished.unwrap_or_else(|| self.end())
    }

    /// The offset that a worker would commit.
    pub(super) fn committable(&self, worker: &Worker) -> u8 {
        if self.has(Rule::LowestUnfinished) {
            self.lowest_unfinished(worker)
        } else {
            worker
                .finished
                .iter()
                .next_back()
                .map_or(0, |highest| highest + 1)
        }
    }

    /// Whether retention may forget a mark: it lies below the committed offset, and the window is over.
    pub(super) fn may_forget(&self, state: &State, identity: usize) -> bool {
        let mark = state.marks[identity];
        let is_committed = mark.highest < state.offset || !self.has(Rule::KeepsUncommitted);
        // What arrives again later than the window is not promised: so the window ends behind the last copy.
        let mut places = (0..self.end()).filter(|offset| self.identity(*offset) == identity);
        let all_seen = places.all(|offset| state.history.seen.contains(offset));
        let Holder(holder) = state.holder;
        let late = &state.workers[holder.other()];
        let mut unfinished = (late.start..self.end()).filter(|o| !late.finished.contains(*o));
        let is_late = late.is_at_it && unfinished.any(|offset| self.identity(offset) == identity);
        let is_over = !is_late || !self.has(Rule::WindowOutlastsTheLate);
        let mut lost = state.lost.members.iter();
        let is_lost = lost.any(|offset| self.identity(offset) == identity);
        mark.exists && is_committed && all_seen && is_over && !is_lost
    }
}
