//! Desks: replay, draining, discarding, restoring, handing back.

use crate::{
    message::{Message, Messages},
    name::Name,
};

use super::{
    Parked,
    action::{Action, Serve},
    rule::Rule,
    state::{Desk, DeskStep, State},
    tables::{Actor, Kept},
};

impl Parked {
    /// What a desk does as long as it is there.
    pub(super) fn desk_to_do(&self, state: &State, name: Name) -> Option<Serve> {
        let tables = &state.tables;
        let own = Actor::Desk(name);
        let may_go_on = match state.desks[name].step {
            DeskStep::Idle => return self.left_to_do(state, name),
            DeskStep::Replay(m) | DeskStep::Discard(m) | DeskStep::Restore(m) => {
                tables.can_write(m, own)
            }
            DeskStep::ReplayRow(_) | DeskStep::DiscardRow(_) => tables.row.can_update(own),
            DeskStep::Stop(m) => tables.can_write(m, own) && tables.row.can_update(own),
            DeskStep::RestoreRow => tables.row.can_insert(own, self.row_is_updated()),
            DeskStep::HandBackLock(_) => !self.has(Rule::HandBackLocks) || tables.row.can_lock(own),
            DeskStep::HandBackDelete => tables.row.can_lock(own),
            DeskStep::ReplayHandle(_)
            | DeskStep::ReplayMark(_)
            | DeskStep::RestoreCommit
            | DeskStep::HandBackLook(_)
            | DeskStep::HandBackCommit => true,
            DeskStep::WantsHandBack => return Some(Serve::HandBack),
        };
        may_go_on.then_some(Serve::GoOn)
    }

    /// What the row says is to be done, by whoever comes.
    fn left_to_do(&self, state: &State, name: Name) -> Option<Serve> {
        let row = &state.tables.row;
        let head = state.tables.parked().iter().next();
        match head {
            _ if is_beside_nobody(state, name) => None,
            None if row.exists && self.has(Rule::Sweep) => Some(Serve::HandBack),
            Some(head) if row.exists && row.is_draining => Some(Serve::Drain(head)),
            _ => None,
        }
    }

    /// What somebody may do at a desk.
    pub(super) fn desk_choices(&self, state: &State, name: Name, actions: &mut Vec<Action>) {
        let may_act = state.happened.acts < self.bounds.mishaps.acts;
        let is_idle = state.desks[name].step == DeskStep::Idle;
        if !may_act || !is_idle || is_beside_nobody(state, name) {
            return;
        }
        let parked = state.tables.parked();
        let is_locked = |m: &Message| state.tables.marks[*m].writer.is_some();
        let replayable: Vec<Message> = if !self.has(Rule::HeadIsWaitedFor) {
            parked.iter().filter(|m| !is_locked(m)).take(1).collect()
        } else if self.has(Rule::HeadOnly) {
            parked.iter().take(1).collect()
        } else {
            parked.iter().collect()
        };
        let mut acts: Vec<Serve> = replayable.into_iter().map(Serve::Replay).collect();
        acts.extend(parked.iter().map(Serve::Discard));
        if self.bounds.restore {
            let is_discarded = |m: &Message| state.tables.marks[*m].kept == Kept::Discarded;
            let discarded = Message::ALL.into_iter().filter(is_discarded);
            acts.extend(discarded.filter(|m| !is_locked(m)).map(Serve::Restore));
        }
        actions.extend(acts.into_iter().map(|act| Action::Serve(name, act)));
    }

    pub(super) fn mishaps_of_desk(&self, state: &State, name: Name, actions: &mut Vec<Action>) {
        let (happened, most) = (&state.happened, &self.bounds.mishaps);
        let step = state.desks[name].step;
        if matches!(step, DeskStep::ReplayHandle(_)) && happened.failures < most.failures {
            actions.push(Action::Serve(name, Serve::Fail));
        }
        if step != DeskStep::Idle && happened.desk_crashes < most.desk_crashes {
            actions.push(Action::DeskCrash(name));
        }
    }

    pub(super) fn serve(&self, state: &mut State, name: Name, step: Serve) {
        match step {
            Serve::Replay(message) => {
                state.happened.acts += 1;
                state.desks[name].step = DeskStep::Replay(message);
            }
            Serve::Drain(message) => state.desks[name].step = DeskStep::Replay(message),
            Serve::Discard(message) => {
                state.happened.acts += 1;
                state.desks[name].step = DeskStep::Discard(message);
            }
            Serve::Restore(message) => {
                state.happened.acts += 1;
                state.desks[name].step = DeskStep::Restore(message);
            }
            Serve::Fail => self.replay_fails(state, name),
            Serve::HandBack => self.hand_back(state, name),
            Serve::GoOn => self.go_on(state, name),
        }
    }

    fn go_on(&self, state: &mut State, name: Name) {
        let own = Actor::Desk(name);
        match state.desks[name].step {
            DeskStep::Replay(message) => self.replay(state, name, message),
            DeskStep::ReplayRow(message) => {
                drains(state, own);
                state.desks[name].step = DeskStep::ReplayHandle(message);
            }
            DeskStep::ReplayHandle(message) => self.replay_handled(state, name, message),
            DeskStep::ReplayMark(message) => {
                state.tables.marks[message].kept = Kept::Done;
                state.desks[name].step = DeskStep::WantsHandBack;
            }
            DeskStep::Stop(message) => {
                // Somebody may have discarded it meanwhile, so that its followers are to go on.
                let is_parked = state.tables.marks[message].kept == Kept::Parked;
                if is_parked || !self.has(Rule::StopChecksItsHead) {
                    state.tables.row.is_draining = false;
                }
                self.leave(state, name);
            }
            DeskStep::Discard(message) => self.discard(state, name, message),
            DeskStep::DiscardRow(message) => {
                drains(state, own);
                self.discarded(state, name, message);
            }
            DeskStep::Restore(message) => Self::restore(state, name, message),
            DeskStep::RestoreRow => {
                self.write_row(state, own);
                state.desks[name].step = DeskStep::RestoreCommit;
            }
            DeskStep::HandBackLock(had_parked) => {
                if state.tables.row.exists {
                    if self.has(Rule::HandBackLocks) {
                        state.tables.row.exclusive = Some(own);
                    }
                    state.desks[name].step = DeskStep::HandBackLook(had_parked);
                } else {
                    self.leave(state, name);
                }
            }
            DeskStep::HandBackLook(had_parked) => {
                let is_stopped = if self.has(Rule::HandBackLooksAgain) {
                    !state.tables.parked().is_empty()
                } else {
                    had_parked
                };
                if is_stopped {
                    self.leave(state, name);
                    let head = state.tables.parked().iter().next();
                    // Wrongly: who has replayed the head goes on by himself.
                    if let Some(head) = head
                        && !self.has(Rule::DrainingInRow)
                    {
                        state.desks[name].step = DeskStep::Replay(head);
                    }
                } else {
                    state.desks[name].step = DeskStep::HandBackDelete;
                }
            }
            DeskStep::HandBackDelete => {
                if state.tables.row.exists {
                    state.tables.row.exclusive = Some(own);
                    state.tables.row.deleting = Some(own);
                    state.desks[name].step = DeskStep::HandBackCommit;
                } else {
                    self.leave(state, name);
                }
            }
            DeskStep::RestoreCommit | DeskStep::HandBackCommit => self.leave(state, name),
            DeskStep::Idle | DeskStep::WantsHandBack => {}
        }
    }

    /// Commits what a desk has done, and leaves.
    fn leave(&self, state: &mut State, name: Name) {
        self.commit(state, Actor::Desk(name), Messages::NONE);
        state.desks[name] = Desk::default();
    }

    /// It has the lock: is it still parked?
    fn replay(&self, state: &mut State, name: Name, message: Message) {
        let is_parked = state.tables.marks[message].kept == Kept::Parked;
        state.desks[name].step = if self.has(Rule::StateIsChecked) && !is_parked {
            DeskStep::Idle
        } else {
            state.tables.write(message, Actor::Desk(name), Kept::Done);
            if self.has(Rule::DrainingInRow) {
                DeskStep::ReplayRow(message)
            } else {
                DeskStep::ReplayHandle(message)
            }
        };
    }

    fn replay_handled(&self, state: &mut State, name: Name, message: Message) {
        let own = Actor::Desk(name);
        state.desks[name].step = if self.has(Rule::ReplayAtOnce) {
            self.commit(state, own, Messages::of([message]));
            DeskStep::WantsHandBack
        } else {
            state.tables.roll_back(own);
            self.make_effect(state, message);
            DeskStep::ReplayMark(message)
        };
    }

    /// The handler fails: the message is the head again, and its key is stopped.
    fn replay_fails(&self, state: &mut State, name: Name) {
        if let DeskStep::ReplayHandle(message) = state.desks[name].step {
            state.happened.failures += 1;
            state.history.failed.insert(message);
            state.tables.roll_back(Actor::Desk(name));
            state.desks[name].step =
                if self.has(Rule::DrainingInRow) && state.tables.row.is_draining {
                    DeskStep::Stop(message)
                } else {
                    DeskStep::Idle
                };
        }
    }

    fn discard(&self, state: &mut State, name: Name, message: Message) {
        if state.tables.marks[message].kept != Kept::Parked {
            state.desks[name].step = DeskStep::Idle;
            return;
        }
        let kept = if self.has(Rule::DiscardKeepsMark) {
            Kept::Discarded
        } else {
            Kept::Nothing
        };
        state.tables.write(message, Actor::Desk(name), kept);
        let is_head = state.tables.parked().iter().next() == Some(message);
        if is_head && self.has(Rule::DrainingInRow) {
            state.desks[name].step = DeskStep::DiscardRow(message);
        } else {
            self.discarded(state, name, message);
        }
    }

    fn discarded(&self, state: &mut State, name: Name, message: Message) {
        self.commit(state, Actor::Desk(name), Messages::NONE);
        state.history.discarded.insert(message);
        state.desks[name].step = DeskStep::WantsHandBack;
    }

    /// A discarded message is parked again, as a live one would be; its place in the order is lost.
    fn restore(state: &mut State, name: Name, message: Message) {
        if state.tables.marks[message].kept != Kept::Discarded {
            state.desks[name].step = DeskStep::Idle;
            return;
        }
        state.tables.write(message, Actor::Desk(name), Kept::Parked);
        state.history.failed.insert(message);
        state.desks[name].step = DeskStep::RestoreRow;
    }

    fn hand_back(&self, state: &mut State, name: Name) {
        if state.tables.row.exists {
            let had_parked = !state.tables.parked().is_empty();
            state.desks[name].step = DeskStep::HandBackLock(had_parked);
        } else {
            self.leave(state, name);
        }
    }
}

/// The desks are alike: the second comes only beside the first.
fn is_beside_nobody(state: &State, name: Name) -> bool {
    name == Name::B && state.desks[Name::A].step == DeskStep::Idle
}

/// Marks the row, if there is one, as draining.
fn drains(state: &mut State, actor: Actor) {
    if state.tables.row.exists {
        state.tables.row.updating = Some(actor);
        state.tables.row.pending = Some(true);
    }
}
