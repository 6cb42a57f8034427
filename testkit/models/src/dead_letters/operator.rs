//! Operators: replay, draining, discarding, restoring, handing back.

use crate::prelude::*;

use super::{Actor, Change, Kept, Model, Rule, State, Task, What};

impl Model {
    pub(super) fn operator(&self, name: Name, steps: &mut Steps<'_, State>) {
        let (task, tables) = (steps.state.operators[name], &steps.state.tables);
        let own = Actor::Operator(name);
        let body_is_free = |message| tables.can_write(message, own);
        let can_update = tables.row.can_update(own);
        match task {
            Task::Idle => self.idle(name, steps),
            Task::Lock(what, m) => {
                steps.duty_if(body_is_free(m), (name, m), "is locked", |s| match what {
                    What::Replay => self.replay(s, name, m),
                    What::Discard => self.discard(s, name, m),
                    What::Restore => restore(s, name, m),
                });
            }
            Task::Drain(what, m) => steps.duty_if(can_update, name, "opens the key", |s| {
                s.tables.change(own, Change::Drain);
                s.operators[name] = Task::Handle(m);
                if what == What::Discard {
                    self.discarded(s, name, m);
                }
            }),
            Task::Handle(m) => {
                steps.duty((name, m), "is handled", |s| self.handled(s, name, m));
                steps.mishap(Failure, (name, m), "fails again", |s| {
                    s.failed.insert(m);
                    s.tables.roll_back(own);
                    let drains = s.tables.row.is_draining && self.has(Rule::DrainingInRow);
                    s.operators[name] = if drains { Task::Block(m) } else { Task::Idle };
                });
            }
            Task::Record(m) => steps.duty((name, m), "is recorded", |s| {
                s.tables.records[m].kept = Kept::Done;
                s.operators[name] = Task::HandBack;
            }),
            Task::Block(m) => {
                let may = body_is_free(m) && can_update;
                steps.duty_if(may, (name, m), "blocks the key again", |s| {
                    // It may be discarded meanwhile, so that its held messages are to go on.
                    let is_queued = s.tables.kept(m) == Kept::Queued;
                    if is_queued || !self.has(Rule::BlockRechecksDeadLetter) {
                        s.tables.row.is_draining = false;
                    }
                    self.leave(s, name);
                });
            }
            Task::RestoreRow => {
                let may = tables.row.can_insert(own, self.row_is_updated());
                steps.duty_if(may, name, "blocks the key", |s| {
                    self.write_row(s, own);
                    s.operators[name] = Task::Commit;
                });
            }
            Task::Commit => steps.duty(name, "commits", |s| self.leave(s, name)),
            Task::HandBack => steps.duty(name, "hands back", |s| self.hand_back(s, name)),
            Task::LockRow(saw) => {
                let locks = self.has(Rule::HandBackLocks);
                let may = !locks || tables.row.can_lock(own);
                steps.duty_if(may, name, "locks the row to hand back", |s| {
                    s.operators[name] = Task::Look(saw);
                    if !s.tables.row.exists {
                        self.leave(s, name);
                    } else if locks {
                        s.tables.change(own, Change::Lock);
                    }
                });
            }
            Task::Look(saw) => steps.duty(name, "looks again", |s| self.look(s, name, saw)),
            Task::DeleteRow => {
                steps.duty_if(tables.row.can_lock(own), name, "deletes the row", |s| {
                    if s.tables.row.exists {
                        s.tables.change(own, Change::Delete);
                        s.operators[name] = Task::Commit;
                    } else {
                        self.leave(s, name);
                    }
                });
            }
        }
        if task != Task::Idle {
            steps.mishap(OperatorCrash, name, "crashes as an operator", |s| {
                s.tables.roll_back(own);
                s.operators[name] = Task::Idle;
            });
        }
    }

    /// What the row says is to be done, and what an operator may do.
    fn idle(&self, name: Name, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        // Operators are alike: the second comes only beside the first.
        if name == Name::B && state.operators[Name::A] == Task::Idle {
            return;
        }
        let wants = |what, m| move |s: &mut State| s.operators[name] = Task::Lock(what, m);
        let queued = state.tables.queued();
        let row = &state.tables.row;
        match queued.iter().next() {
            None => {
                let is_due = row.exists && self.has(Rule::Sweep);
                steps.duty_if(is_due, name, "sweeps", |s| self.hand_back(s, name));
            }
            Some(head) => {
                let is_due = row.exists && row.is_draining;
                steps.duty_if(is_due, name, "drains", wants(What::Replay, head));
            }
        }
        let is_free = |m: &Message| state.tables.records[*m].pending.writer.is_none();
        let most = self.either(Rule::HeadOnly, 1, usize::MAX);
        let may_skip = !self.has(Rule::HeadIsWaitedFor);
        let replayable = queued.iter().filter(|m| is_free(m) || !may_skip);
        let replayable = replayable.take(most).collect();
        let discarded = state.tables.all(Kept::Discarded).iter();
        let restorable = discarded
            .filter(|m| self.form.restore && is_free(m))
            .collect();
        let acts = [
            (What::Replay, replayable),
            (What::Discard, queued),
            (What::Restore, restorable),
        ];
        for (what, messages) in acts {
            for m in messages.iter() {
                steps.mishap(Act, (name, what, m), "is asked for", wants(what, m));
            }
        }
    }

    /// Commits what an operator has done, and leaves.
    fn leave(&self, state: &mut State, name: Name) {
        self.commit(state, Actor::Operator(name), Messages::NONE);
        state.operators[name] = Task::Idle;
    }

    /// It has the lock: is the message still queued?
    fn replay(&self, state: &mut State, name: Name, message: Message) {
        let is_queued = state.tables.kept(message) == Kept::Queued;
        if self.has(Rule::StateIsChecked) && !is_queued {
            state.operators[name] = Task::Idle;
        } else {
            let (own, drain) = (Actor::Operator(name), Task::Drain(What::Replay, message));
            state.tables.write(message, own, Kept::Done);
            state.operators[name] = self.either(Rule::DrainingInRow, drain, Task::Handle(message));
        }
    }

    fn handled(&self, state: &mut State, name: Name, message: Message) {
        let own = Actor::Operator(name);
        state.operators[name] = if self.has(Rule::ReplayAtOnce) {
            self.commit(state, own, [message].into_iter().collect());
            Task::HandBack
        } else {
            state.tables.roll_back(own);
            self.make_effect(state, message);
            Task::Record(message)
        };
    }

    fn discard(&self, state: &mut State, name: Name, message: Message) {
        if state.tables.kept(message) != Kept::Queued {
            state.operators[name] = Task::Idle;
            return;
        }
        let kept = self.either(Rule::DiscardKeepsRecord, Kept::Discarded, Kept::Nothing);
        state.tables.write(message, Actor::Operator(name), kept);
        let is_head = state.tables.queued().iter().next() == Some(message);
        if is_head && self.has(Rule::DrainingInRow) {
            state.operators[name] = Task::Drain(What::Discard, message);
        } else {
            self.discarded(state, name, message);
        }
    }

    fn discarded(&self, state: &mut State, name: Name, message: Message) {
        self.commit(state, Actor::Operator(name), Messages::NONE);
        state.discarded.insert(message);
        state.operators[name] = Task::HandBack;
    }

    fn hand_back(&self, state: &mut State, name: Name) {
        if state.tables.row.exists {
            state.operators[name] = Task::LockRow(!state.tables.queued().is_empty());
        } else {
            self.leave(state, name);
        }
    }

    fn look(&self, state: &mut State, name: Name, saw: bool) {
        let head = state.tables.queued().iter().next();
        if !self.either(Rule::HandBackLooksAgain, head.is_some(), saw) {
            state.operators[name] = Task::DeleteRow;
            return;
        }
        self.leave(state, name);
        // Wrongly: the process that has replayed the head goes on by itself.
        if let Some(head) = head
            && !self.has(Rule::DrainingInRow)
        {
            state.operators[name] = Task::Lock(What::Replay, head);
        }
    }
}

/// A discarded message is queued again, as a live one would be; its place in the order is lost.
fn restore(state: &mut State, name: Name, message: Message) {
    if state.tables.kept(message) == Kept::Discarded {
        let own = Actor::Operator(name);
        state.tables.write(message, own, Kept::Queued);
        state.failed.insert(message);
        state.operators[name] = Task::RestoreRow;
    } else {
        state.operators[name] = Task::Idle;
    }
}
