//! Workers: admission, effects, parking.

use crate::{
    message::{Key, Message, Messages},
    name::Name,
    offsets::Offsets,
};

use super::{
    Parked,
    action::{Action, Work},
    rule::Rule,
    state::{Answer, State, Step, Worker},
    tables::{Actor, Kept},
};

impl Parked {
    pub(super) fn message(&self, offset: u8) -> Message {
        self.bounds.log[usize::from(offset)]
    }

    pub(super) fn end(&self) -> u8 {
        u8::try_from(self.bounds.log.len()).unwrap_or(u8::MAX)
    }

    fn is_other(&self, offset: u8) -> bool {
        offset < self.end() && self.message(offset).key() == Key::L
    }

    /// Where the other key goes its own way, its message is passed over.
    fn next_of_lane(&self, offset: u8) -> u8 {
        offset + u8::from(self.bounds.batch == 1 && self.is_other(offset))
    }

    pub(super) fn committable(&self, worker: &Worker) -> u8 {
        if self.has(Rule::LowestUnfinished) {
            let unfinished = (0..self.end()).find(|offset| !worker.finished.contains(*offset));
            unfinished.unwrap_or_else(|| self.end())
        } else {
            let highest = worker.finished.iter().next_back();
            highest.map_or(0, |highest| highest + 1)
        }
    }

    /// A worker is given the partition from the committed offset on.
    pub(super) fn assign(&self, state: &mut State, name: Name) {
        let offset = state.offset;
        let mut ahead = offset..self.end();
        state.workers[name] = Worker {
            is_up: true,
            next: offset,
            other_is_done: !ahead.any(|offset| self.is_other(offset)),
            finished: Offsets::below(offset),
            cache: state.tables.row.exists,
            ..Worker::default()
        };
    }

    /// The messages of a worker's transaction, with what admission says of them.
    fn members(&self, worker: &Worker) -> impl Iterator<Item = (Message, Answer)> {
        let first = worker.next;
        let messages = (first..first + worker.count).map(|offset| self.message(offset));
        messages.zip(worker.answers)
    }

    fn fresh(&self, worker: &Worker) -> Messages {
        let members = self.members(worker);
        Messages::of(members.filter(|(_, a)| *a == Answer::Fresh).map(|(m, _)| m))
    }

    pub(super) fn work_to_do(&self, state: &State, name: Name, steps: &mut Vec<Work>) {
        let worker = &state.workers[name];
        let tables = &state.tables;
        let own = Actor::Worker(name);
        if self.bounds.batch == 1 && self.other_may_run(state, name) {
            steps.push(Work::Other);
        }
        let at = worker.next + worker.admitted;
        match worker.step {
            Step::Idle if self.next_of_lane(worker.next) < self.end() => steps.push(Work::Begin),
            Step::WriteMarks if may_mark(state, self.message(at), own) => {
                steps.push(Work::WriteMark);
            }
            Step::LookAgain => steps.push(Work::LookAgain),
            Step::LockAgain if !self.locks_row(worker) || tables.row.can_share() => {
                steps.push(Work::LockAgain);
            }
            Step::Handle => steps.push(Work::Commit),
            Step::ParkMark if may_mark(state, self.message(worker.next), own) => {
                steps.push(Work::ParkMark);
            }
            Step::ParkRow if tables.row.can_insert(own, self.row_is_updated()) => {
                steps.push(Work::ParkRow);
            }
            Step::ParkCommit => steps.push(Work::ParkCommit),
            _ => {}
        }
    }

    /// Whether the second statement locks the row that it sees.
    fn locks_row(&self, worker: &Worker) -> bool {
        worker.sees_row && self.has(Rule::FollowersLock) && self.has(Rule::DecidedInAdmission)
    }

    pub(super) fn row_is_updated(&self) -> bool {
        self.has(Rule::RowIsUpdated) && self.has(Rule::RowWithOwnMark)
    }

    fn other_may_run(&self, state: &State, name: Name) -> bool {
        let mut other = (0..self.end()).filter(|offset| self.is_other(*offset));
        let is_due = !state.workers[name].other_is_done;
        let can_write = |offset| {
            state
                .tables
                .can_write(self.message(offset), Actor::Worker(name))
        };
        is_due && other.any(can_write)
    }

    pub(super) fn mishaps_of_work(&self, state: &State, name: Name, actions: &mut Vec<Action>) {
        let worker = &state.workers[name];
        let (happened, most) = (&state.happened, &self.bounds.mishaps);
        let may_lose = happened.lost_commits < most.lost_commits && state.lost.is_none();
        match worker.step {
            Step::Handle => {
                if may_lose {
                    actions.push(Action::Work(name, Work::CommitUnanswered));
                }
                let mut fresh = self.fresh(worker).iter();
                if happened.failures < most.failures && fresh.any(|m| m.key() == Key::K) {
                    actions.push(Action::Work(name, Work::Fail));
                }
            }
            Step::ParkCommit => {
                if may_lose {
                    actions.push(Action::Work(name, Work::ParkUnanswered));
                }
                if happened.failed_parks < most.failed_parks {
                    actions.push(Action::Work(name, Work::ParkFails));
                }
            }
            _ => {}
        }
    }

    pub(super) fn work(&self, state: &mut State, name: Name, step: Work) {
        let own = Actor::Worker(name);
        let message = self.bounds.log.get(usize::from(state.workers[name].next));
        match step {
            Work::Begin => self.begin(state, name),
            Work::WriteMark => self.write_mark(state, name),
            Work::LookAgain => {
                let sees_row = if self.has(Rule::DecidedInAdmission) {
                    state.tables.row.exists
                } else {
                    state.workers[name].cache
                };
                let worker = &mut state.workers[name];
                worker.sees_row = sees_row;
                worker.step = if sees_row {
                    Step::LockAgain
                } else {
                    Step::Handle
                };
            }
            Work::LockAgain => self.decide_again(state, name),
            Work::Commit => {
                let worker = state.workers[name];
                self.commit(state, own, self.fresh(&worker));
                state.workers[name].finish(worker.count);
            }
            Work::CommitUnanswered => {
                let effects = self.fresh(&state.workers[name]);
                lose_sight(state, name, effects);
            }
            Work::Fail => self.fail(state, name),
            Work::ParkMark => {
                if let Some(message) = message {
                    self.park_mark(state, name, *message);
                }
            }
            Work::ParkRow => {
                self.write_row(state, own);
                state.workers[name].step = Step::ParkCommit;
            }
            Work::ParkCommit => {
                self.commit(state, own, Messages::NONE);
                state.workers[name].cache = true;
                state.workers[name].finish(1);
            }
            Work::ParkUnanswered => lose_sight(state, name, Messages::NONE),
            Work::ParkFails => {
                state.happened.failed_parks += 1;
                state.tables.roll_back(own);
                if self.has(Rule::FailedParkStops) {
                    state.workers[name].go_back();
                } else {
                    state.workers[name].finish(1);
                }
            }
            Work::Other => self.do_other(state, name),
        }
    }

    fn begin(&self, state: &mut State, name: Name) {
        let worker = &mut state.workers[name];
        worker.next = self.next_of_lane(worker.next);
        let is_single = worker.next < worker.single_until;
        let most = if is_single { 1 } else { self.bounds.batch };
        worker.count = most.min(self.end() - worker.next);
        worker.step = Step::WriteMarks;
    }

    /// `ON CONFLICT DO NOTHING`, in the order of offsets.
    fn write_mark(&self, state: &mut State, name: Name) {
        let worker = state.workers[name];
        let message = self.message(worker.next + worker.admitted);
        let answer = if state.tables.marks[message].kept == Kept::Nothing {
            state.tables.write(message, Actor::Worker(name), Kept::Done);
            Answer::Fresh
        } else {
            Answer::Duplicate
        };
        let worker = &mut state.workers[name];
        worker.answers[usize::from(worker.admitted)] = answer;
        worker.admitted += 1;
        if worker.admitted == worker.count {
            let worker = state.workers[name];
            let decides_again =
                self.has(Rule::SecondStatement) && !self.fresh_of_key(&worker).is_empty();
            state.workers[name].step = if decides_again {
                Step::LookAgain
            } else {
                Step::Handle
            };
        }
    }

    /// Fresh messages of the key.
    fn fresh_of_key(&self, worker: &Worker) -> Messages {
        let of_key = self.members(worker).filter(|(m, _)| m.key() == Key::K);
        Messages::of(of_key.filter(|(_, a)| *a == Answer::Fresh).map(|(m, _)| m))
    }

    /// One update: they are parked if the row exists, under the same lock.
    fn decide_again(&self, state: &mut State, name: Name) {
        let worker = state.workers[name];
        if worker.sees_row {
            if self.locks_row(&worker) {
                state.tables.row.shared.insert(Actor::Worker(name));
            }
            let again = self.fresh_of_key(&worker);
            let members: Vec<Message> = self.members(&worker).map(|(m, _)| m).collect();
            for (answer, message) in state.workers[name].answers.iter_mut().zip(members) {
                if again.contains(message) {
                    *answer = Answer::Follower;
                    state.tables.marks[message].pending = Kept::Parked;
                }
            }
        }
        state.workers[name].sees_row = false;
        state.workers[name].step = Step::Handle;
    }

    /// A batch is taken apart first; a message that ran alone is to be parked.
    fn fail(&self, state: &mut State, name: Name) {
        state.tables.roll_back(Actor::Worker(name));
        let failed = self.fresh(&state.workers[name]);
        let worker = &mut state.workers[name];
        let count = worker.count;
        worker.go_back();
        if count == 1 {
            state.happened.failures += 1;
            state.history.failed = state.history.failed.and(failed);
            worker.step = Step::ParkMark;
        } else {
            worker.single_until = worker.next + count;
        }
    }

    fn park_mark(&self, state: &mut State, name: Name, message: Message) {
        let own = Actor::Worker(name);
        if state.tables.marks[message].kept == Kept::Nothing {
            state.tables.write(message, own, Kept::Parked);
            if !self.has(Rule::ParkAtOnce) {
                self.commit(state, own, Messages::NONE);
            }
        } else if self.has(Rule::RowWithOwnMark) {
            // Somebody else has done or parked it.
            state.tables.roll_back(own);
            state.workers[name].finish(1);
            return;
        }
        state.workers[name].step = Step::ParkRow;
    }

    /// Writes the stopped-key row, or updates the one that exists.
    pub(super) fn write_row(&self, state: &mut State, actor: Actor) {
        let row = &mut state.tables.row;
        if !row.exists {
            row.inserting = Some(actor);
        } else if self.row_is_updated() {
            row.updating = Some(actor);
        }
    }

    fn do_other(&self, state: &mut State, name: Name) {
        for offset in (0..self.end()).filter(|offset| self.is_other(*offset)) {
            let message = self.message(offset);
            if state.tables.marks[message].kept == Kept::Nothing {
                state.tables.marks[message].kept = Kept::Done;
                self.make_effect(state, message);
            }
            state.workers[name].finished.insert(offset);
        }
        state.workers[name].other_is_done = true;
    }

    pub(super) fn commit(&self, state: &mut State, actor: Actor, effects: Messages) {
        for message in effects.iter() {
            self.make_effect(state, message);
        }
        let is_late = actor == Actor::Worker(Name::A) && state.is_reassigned;
        state.history.zombie_was_first |= is_late && !effects.is_empty();
        if state.tables.commit(actor) {
            // Who waits for a row that is deleted finds none.
            for name in Name::BOTH {
                let worker = &mut state.workers[name];
                if worker.step == Step::LockAgain {
                    worker.sees_row = false;
                }
            }
        }
    }

    pub(super) fn make_effect(&self, state: &mut State, message: Message) {
        let earlier = self.bounds.log.iter().take_while(|m| **m != message);
        let overtaken = |m: &&Message| {
            m.key() == message.key()
                && state.effects[**m] == 0
                && !state.history.discarded.contains(**m)
        };
        state.history.out_of_order |= earlier.filter(overtaken).count() > 0;
        state.effects[message] = (state.effects[message] + 1).min(2);
    }
}

fn lose_sight(state: &mut State, name: Name, effects: Messages) {
    state.happened.lost_commits += 1;
    state.tables.abandon(Actor::Worker(name));
    state.lost = Some(effects);
    state.workers[name].go_back();
}

/// Marks and bodies are rows of two tables: a desk's lock on a body holds nobody up who finds the mark.
fn may_mark(state: &State, message: Message, own: Actor) -> bool {
    state.tables.marks[message].kept != Kept::Nothing || state.tables.can_write(message, own)
}

impl Worker {
    /// Its transaction is over, and its messages are to be tried again.
    fn go_back(&mut self) {
        self.step = Step::Idle;
        self.count = 0;
        self.admitted = 0;
        self.answers = [Answer::None; 3];
        self.sees_row = false;
    }

    fn finish(&mut self, count: u8) {
        for offset in self.next..self.next + count {
            self.finished.insert(offset);
        }
        self.next += count;
        self.go_back();
    }
}
