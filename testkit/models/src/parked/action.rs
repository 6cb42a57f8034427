//! What can happen: duties, which are done as long as anybody is there; choices; and mishaps.

use crate::{message::Message, name::Name};

use super::{
    Parked,
    rule::Rule,
    state::{Desk, State, Step, Worker},
    tables::Actor,
};

/// One step of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// `B` is given the partition; `A` does not know.
    Reassign,
    /// A worker's next step.
    Work(Name, Work),
    /// A desk's next step.
    Serve(Name, Serve),
    /// A transaction that was lost sight of turns out to be committed.
    LostCommits,
    LostRollsBack,
    CommitOffset(Name),
    Crash(Name),
    DeskCrash(Name),
    /// The former holder's process is stopped for ever within its transaction.
    Freeze,
    ServerEnds,
}

/// A worker's step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    Begin,
    WriteMark,
    LookAgain,
    LockAgain,
    Commit,
    CommitUnanswered,
    Fail,
    ParkMark,
    ParkRow,
    ParkCommit,
    ParkUnanswered,
    ParkFails,
    /// The other key's message, where keys go their own ways.
    Other,
}

/// A desk's step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Serve {
    Replay(Message),
    /// The head of a draining key is replayed.
    Drain(Message),
    Discard(Message),
    Restore(Message),
    /// The lock that the next step needs is had, and the step taken.
    GoOn,
    /// The handler of a replay fails.
    Fail,
    HandBack,
}

impl Parked {
    /// What is done as long as anybody is there. When nothing of it is left, things are at rest.
    pub(super) fn duties(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.is_reassigned && !self.bounds.is_kept {
            actions.push(Action::Reassign);
        }
        if state.workers[Name::A].is_frozen && self.has(Rule::ServerEndsIdle) {
            actions.push(Action::ServerEnds);
        }
        if state.lost.is_some() {
            actions.push(Action::LostCommits);
            actions.push(Action::LostRollsBack);
        }
        for name in Name::BOTH {
            if state.workers[name].is_up {
                let mut steps = Vec::new();
                self.work_to_do(state, name, &mut steps);
                actions.extend(steps.into_iter().map(|step| Action::Work(name, step)));
            }
            if let Some(step) = self.desk_to_do(state, name) {
                actions.push(Action::Serve(name, step));
            }
        }
    }

    /// What somebody may do or leave.
    pub(super) fn choices(&self, state: &State, actions: &mut Vec<Action>) {
        for name in Name::BOTH {
            let worker = &state.workers[name];
            let committable = self.committable(worker);
            // Offsets matter to those who are given the partition later.
            let matters = (!state.is_reassigned && !self.bounds.is_kept)
                || state.happened.crashes < self.bounds.mishaps.crashes;
            if worker.is_up && matters && committable > state.offset {
                actions.push(Action::CommitOffset(name));
            }
            self.desk_choices(state, name, actions);
        }
    }

    pub(super) fn mishaps(&self, state: &State, actions: &mut Vec<Action>) {
        let (happened, most) = (&state.happened, &self.bounds.mishaps);
        for name in Name::BOTH {
            let worker = &state.workers[name];
            if worker.is_up {
                if happened.crashes < most.crashes {
                    actions.push(Action::Crash(name));
                }
                self.mishaps_of_work(state, name, actions);
            }
            self.mishaps_of_desk(state, name, actions);
        }
        let former = &state.workers[Name::A];
        if happened.freezes < most.freezes && former.is_up && former.step != Step::Idle {
            actions.push(Action::Freeze);
        }
    }

    pub(super) fn take(&self, state: &mut State, action: Action) {
        match action {
            Action::Reassign => {
                state.is_reassigned = true;
                self.assign(state, Name::B);
            }
            Action::Work(name, step) => self.work(state, name, step),
            Action::Serve(name, step) => self.serve(state, name, step),
            Action::LostCommits => {
                let effects = state.lost.take().unwrap_or_default();
                self.commit(state, Actor::Nobody, effects);
            }
            Action::LostRollsBack => {
                state.lost = None;
                state.tables.roll_back(Actor::Nobody);
            }
            Action::CommitOffset(name) => {
                state.offset = self.committable(&state.workers[name]);
            }
            Action::Crash(name) => {
                state.happened.crashes += 1;
                state.tables.roll_back(Actor::Worker(name));
                if name == Name::B {
                    self.assign(state, name);
                } else {
                    state.workers[name] = Worker::default();
                }
            }
            Action::DeskCrash(name) => {
                state.happened.desk_crashes += 1;
                state.tables.roll_back(Actor::Desk(name));
                state.desks[name] = Desk::default();
            }
            Action::Freeze => {
                state.happened.freezes += 1;
                state.workers[Name::A].is_up = false;
                state.workers[Name::A].is_frozen = true;
            }
            Action::ServerEnds => {
                state.tables.roll_back(Actor::Worker(Name::A));
                state.workers[Name::A] = Worker::default();
            }
        }
    }
}
