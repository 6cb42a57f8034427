//! Workers: admission, effects, dead-lettering.

use crate::prelude::*;

use super::{Actor, Change, Kept, Model, Pending, Rule, State, Step, Worker};

impl Model {
    pub(super) fn worker(&self, name: Name, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        let worker = &state.workers[name];
        if !self.form.batches {
            self.other(name, steps);
        }
        self.transaction(name, steps);
        // Offsets matter to those who are given the partition later.
        let matters = (!state.is_reassigned && !self.form.is_kept) || steps.may(Crash);
        let lowest = self.has(Rule::LowestUnfinished);
        let committable = worker.finished.committable(lowest, self.end());
        if matters && committable > state.offset {
            steps.choice(name, "commits its offset", |s| s.offset = committable);
        }
        steps.mishap(Crash, name, "crashes", |s| {
            s.tables.roll_back(Actor::Worker(name));
            s.workers[name] = Worker::default();
            if name == Name::B {
                self.assign(s, name);
            }
        });
        if name == Name::A && worker.step != Step::Idle {
            steps.mishap(Freeze, name, "is frozen in its transaction", |s| {
                s.workers[name].is_up = false;
                s.workers[name].is_frozen = true;
            });
        }
    }

    fn transaction(&self, name: Name, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        let (worker, tables) = (&state.workers[name], &state.tables);
        let own = Actor::Worker(name);
        match worker.step {
            Step::Idle => {
                let is_due = self.next_of_lane(worker.next) < self.end();
                steps.duty_if(is_due, name, "begins", |s| self.begin(&mut s.workers[name]));
            }
            Step::Admit => {
                let m = self.message(worker.next + worker.admitted);
                let may = tables.can_record(m, own);
                steps.duty_if(may, (name, m), "is admitted", |s| self.admit(s, name, m));
            }
            Step::Look => steps.duty(name, "looks for a blocked key", |s| {
                let worker = &mut s.workers[name];
                let sees = self.either(Rule::RowIsRead, s.tables.row.exists, worker.cache);
                worker.sees_row = sees;
                worker.step = if sees { Step::LockRow } else { Step::Handle };
            }),
            Step::LockRow => {
                let may = !self.locks_row(worker) || tables.row.can_share();
                steps.duty_if(may, name, "holds its messages", |s| self.hold(s, name));
            }
            Step::Handle => self.handle(name, steps),
            Step::DeadLetter => {
                let m = self.message(worker.next);
                let may = tables.can_record(m, own);
                steps.duty_if(may, (name, m), "is kept", |s| self.dead_letter(s, name, m));
            }
            Step::BlockKey => {
                let may = tables.row.can_insert(own, self.row_is_updated());
                steps.duty_if(may, name, "blocks the key", |s| {
                    self.write_row(s, own);
                    s.workers[name].step = Step::CommitDeadLetter;
                });
            }
            Step::CommitDeadLetter => {
                steps.duty(name, "commits the dead letter", |s| {
                    self.commit(s, own, Messages::NONE);
                    s.workers[name].cache = true;
                    s.workers[name].finish(1);
                });
                lose_sight(name, Messages::NONE, steps);
                steps.mishap(FailedDeadLetter, name, "cannot dead-letter", |s| {
                    s.tables.roll_back(own);
                    if self.has(Rule::FailedDeadLetterBlocks) {
                        s.workers[name].go_back();
                    } else {
                        s.workers[name].finish(1);
                    }
                });
            }
        }
    }

    fn handle(&self, name: Name, steps: &mut Steps<'_, State>) {
        let Worker { fresh, count, .. } = steps.state.workers[name];
        steps.duty(name, "commits", |s| {
            self.commit(s, Actor::Worker(name), fresh);
            s.workers[name].finish(count);
        });
        lose_sight(name, fresh, steps);
        if fresh.of_key(Key::K).is_empty() {
        } else if count == 1 {
            steps.mishap(Failure, name, "fails", |s| {
                s.tables.roll_back(Actor::Worker(name));
                s.failed = s.failed.and(fresh);
                s.workers[name].go_back();
                s.workers[name].step = Step::DeadLetter;
            });
        } else if steps.may(Failure) {
            steps.choice(name, "fails, and takes its batch apart", |s| {
                s.tables.roll_back(Actor::Worker(name));
                let worker = &mut s.workers[name];
                worker.go_back();
                worker.single_until = worker.next + count;
            });
        }
    }

    /// The other key's messages, where keys go their own ways.
    fn other(&self, name: Name, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        let others: Offsets = (0..self.end()).filter(|o| self.is_other(*o)).collect();
        let own = Actor::Worker(name);
        let can_write = |offset| state.tables.can_write(self.message(offset), own);
        let is_due = !state.workers[name].other_is_done && others.iter().any(can_write);
        steps.duty_if(is_due, name, "does the other key", |s| {
            for offset in others.iter() {
                let message = self.message(offset);
                if s.tables.kept(message) == Kept::Nothing {
                    s.tables.records[message].kept = Kept::Done;
                    self.make_effect(s, message);
                }
            }
            let worker = &mut s.workers[name];
            worker.finished = worker.finished.and(others);
            worker.other_is_done = true;
        });
    }

    fn is_other(&self, offset: u8) -> bool {
        offset < self.end() && self.message(offset).key() == Key::L
    }

    /// Where the other key goes its own way, its message is passed over.
    fn next_of_lane(&self, offset: u8) -> u8 {
        offset + u8::from(!self.form.batches && self.is_other(offset))
    }

    /// A worker is given the partition from the committed offset on.
    pub(super) fn assign(&self, state: &mut State, name: Name) {
        let offset = state.offset;
        state.workers[name] = Worker {
            is_up: true,
            next: offset,
            other_is_done: !(offset..self.end()).any(|offset| self.is_other(offset)),
            finished: Offsets::below(offset),
            cache: state.tables.row.exists,
            ..Worker::default()
        };
    }

    fn begin(&self, worker: &mut Worker) {
        worker.next = self.next_of_lane(worker.next);
        let is_batch = self.form.batches && worker.next >= worker.single_until;
        let most = if is_batch { 3 } else { 1 };
        worker.count = most.min(self.end() - worker.next);
        worker.step = Step::Admit;
    }

    /// `ON CONFLICT DO NOTHING`, in the order of offsets.
    fn admit(&self, state: &mut State, name: Name, message: Message) {
        let worker = &mut state.workers[name];
        if state.tables.kept(message) == Kept::Nothing {
            state.tables.write(message, Actor::Worker(name), Kept::Done);
            worker.fresh.insert(message);
        }
        worker.admitted += 1;
        if worker.admitted == worker.count {
            let looks = self.has(Rule::SecondStatement) && !worker.fresh.of_key(Key::K).is_empty();
            worker.step = if looks { Step::Look } else { Step::Handle };
        }
    }

    /// Whether the second statement locks the row that it sees.
    fn locks_row(&self, worker: &Worker) -> bool {
        worker.sees_row && self.has(Rule::HeldMessagesLock) && self.has(Rule::RowIsRead)
    }

    /// One update: fresh messages are held if the row exists, under its lock.
    fn hold(&self, state: &mut State, name: Name) {
        let worker = &mut state.workers[name];
        if self.locks_row(worker) {
            state.tables.row.shared.insert(Actor::Worker(name));
        }
        if worker.sees_row {
            let held = worker.fresh.of_key(Key::K);
            worker.fresh = worker.fresh.without(held);
            for message in held.iter() {
                state
                    .tables
                    .write(message, Actor::Worker(name), Kept::Queued);
            }
        }
        worker.sees_row = false;
        worker.step = Step::Handle;
    }

    fn dead_letter(&self, state: &mut State, name: Name, message: Message) {
        let own = Actor::Worker(name);
        if state.tables.kept(message) == Kept::Nothing {
            state.tables.write(message, own, Kept::Queued);
            if !self.has(Rule::DeadLetterAtOnce) {
                self.commit(state, own, Messages::NONE);
            }
        } else if self.has(Rule::RowWithOwnRecord) {
            // Another worker has done or dead-lettered it.
            state.tables.roll_back(own);
            state.workers[name].finish(1);
            return;
        }
        state.workers[name].step = Step::BlockKey;
    }

    pub(super) fn row_is_updated(&self) -> bool {
        self.has(Rule::RowIsUpdated) && self.has(Rule::RowWithOwnRecord)
    }

    /// Writes the row of the blocked key, or updates the one that exists.
    pub(super) fn write_row(&self, state: &mut State, actor: Actor) {
        if !state.tables.row.exists {
            state.tables.row.pending = Pending::of(actor, Change::Insert);
        } else if self.row_is_updated() {
            state.tables.change(actor, Change::Update);
        }
    }

    pub(super) fn commit(&self, state: &mut State, actor: Actor, effects: Messages) {
        for message in effects.iter() {
            self.make_effect(state, message);
        }
        let is_late = actor == Actor::Worker(Name::A) && state.is_reassigned;
        state.zombie_was_first |= is_late && !effects.is_empty();
        if state.tables.commit(actor) {
            // A statement that waits for a row that is deleted finds none.
            for name in Name::BOTH {
                let worker = &mut state.workers[name];
                worker.sees_row &= worker.step != Step::LockRow;
            }
        }
    }

    pub(super) fn make_effect(&self, state: &mut State, message: Message) {
        let preceding = self.preceding(message).without(state.discarded);
        state.effects.add(message, preceding);
    }
}

fn lose_sight(name: Name, effects: Messages, steps: &mut Steps<'_, State>) {
    if steps.state.lost.is_none() {
        steps.mishap(LostCommit, name, "commits, and is not answered", |s| {
            s.tables.abandon(Actor::Worker(name));
            s.lost = Some(effects);
            s.workers[name].go_back();
        });
    }
}

impl Worker {
    /// Its transaction is over, and its messages are to be tried again.
    fn go_back(&mut self) {
        (self.step, self.sees_row) = (Step::Idle, false);
        (self.count, self.admitted, self.fresh) = (0, 0, Messages::NONE);
    }

    fn finish(&mut self, count: u8) {
        for offset in self.next..self.next + count {
            self.finished.insert(offset);
        }
        self.next += count;
        self.go_back();
    }
}
