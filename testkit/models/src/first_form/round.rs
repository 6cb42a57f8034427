//! What each step does, a round above all.

use crate::{
    message::{Message, Messages, Queue},
    name::Name,
};

use super::{
    FirstForm,
    action::{Action, Fate},
    rule::Rule,
    state::{At, Owner, Relay, Round, Stage, State},
};

impl FirstForm {
    pub(super) fn take(&self, state: &mut State, action: Action) {
        match action {
            Action::LockRow(message) => {
                let writer = &mut state.writers[message];
                writer.stage = match writer.stage {
                    Stage::Drawn => Stage::LockedLate,
                    _ => Stage::Locked,
                };
            }
            Action::Enqueue(message) => self.enqueue(state, message),
            Action::Commit(message) => {
                state.writers[message].committed_behind = self.committed_of_key(state, message);
                state.writers[message].stage = Stage::Committed;
                state.database.log.insert(message);
                state.flush();
            }
            Action::Rollback(message) => {
                state.happened.rollbacks += 1;
                state.writers[message].stage = Stage::RolledBack;
            }
            Action::Lease(name) => self.lease(state, name),
            Action::ReadStoppedKeys(name) => {
                state.relays[name].stopped = Messages::of(state.database.held.iter());
                state.relays[name].at = At::Peeked;
            }
            Action::Fetch(name) => self.fetch(state, name, false),
            Action::FetchDue(name) => self.fetch(state, name, true),
            Action::Acknowledged(name) => self.acknowledged(state, name),
            Action::Refused(name) => self.refused(state, name),
            Action::Unanswered(name, fate) => self.unanswered(state, name, fate),
            Action::Arrives(message) => {
                state.broker.in_flight.remove(message);
                self.store(state, message);
            }
            Action::CheckFence(name) => self.check_fence(state, name),
            Action::Record(name) => {
                self.record(state, name);
                let relay = &mut state.relays[name];
                if self.has(Rule::MoveAtOnce) {
                    (relay.at, relay.round) = (At::Idle, Round::default());
                } else {
                    relay.at = At::Moving;
                }
            }
            Action::RecordUnanswered(name) => {
                state.happened.lost_commits += 1;
                self.record(state, name);
                state.relays[name].at = At::Sending;
            }
            Action::MoveAside(name) => {
                let round = state.relays[name].round;
                move_aside(state, &round);
                state.flush();
                let relay = &mut state.relays[name];
                (relay.at, relay.round) = (At::Idle, Round::default());
            }
            Action::Release(name) => Self::release(state, name),
            Action::LeaseEnds => {
                if let Owner::Living(name) = state.database.owner {
                    state.happened.stalls += 1;
                    state.database.owner = Owner::Late(name);
                }
            }
            Action::Crash(name) => Self::crash(state, name),
            Action::Freeze(name) => {
                state.happened.freezes += 1;
                state.relays[name].at = At::Frozen;
                if state.database.owner == Owner::Living(name) {
                    state.database.owner = Owner::Late(name);
                }
            }
            Action::ServerEnds(name) => state.relays[name].at = At::FrozenAndEnded,
            Action::ServerCrash => self.crash_server(state),
        }
    }

    fn committed_of_key(&self, state: &State, message: Message) -> Messages {
        let messages = self.bounds.messages.iter().copied();
        Messages::of(messages.filter(|m| m.key() == message.key() && state.committed(*m)))
    }

    fn enqueue(&self, state: &mut State, message: Message) {
        state.drawn += 1;
        state.writers[message].position = state.drawn;
        state.writers[message].behind = self.committed_of_key(state, message);
        state.writers[message].stage = Stage::Drawn;
    }

    /// Rows of the log that a relay sees, in position order.
    pub(super) fn log_rows(&self, state: &State, name: Name) -> Queue {
        let mut rows: Vec<Message> = state.database.log.iter().collect();
        if !self.has(Rule::CommittedRows) {
            let open = |m: &Message| state.writers[*m].stage == Stage::Drawn;
            rows.extend(self.bounds.messages.iter().copied().filter(open));
        }
        if !self.has(Rule::VisibleRows) {
            rows.retain(|m| state.writers[*m].position > state.relays[name].cursor);
        }
        rows.sort_by_key(|m| state.writers[*m].position);
        rows.into_iter().take(self.bounds.limit).collect()
    }

    /// One statement, one snapshot. Of the log, rows of stopped keys follow those that lie in the side table.
    fn fetch(&self, state: &mut State, name: Name, due: bool) {
        let rows = self.log_rows(state, name);
        let held = state.database.held;
        let stopped = if self.has(Rule::OneSnapshot) {
            Messages::of(held.iter())
        } else {
            state.relays[name].stopped
        };
        let is_stopped = |message: Message| {
            self.has(Rule::StoppedKeyWaits) && stopped.iter().any(|m| m.key() == message.key())
        };
        state.history.gap_filled |= rows.iter().any(|row| {
            let is_later = |m: &&Message| state.writers[**m].position > state.writers[row].position;
            let mut later = self.bounds.messages.iter().filter(is_later);
            later.any(|m| state.broker.stored[*m] > 0) && state.broker.stored[row] == 0
        });
        let mut round = Round::default();
        if due {
            round.rows = held.iter().take(self.bounds.limit).collect();
            round.held = Messages::of(round.rows.iter());
        }
        for row in rows.iter() {
            if is_stopped(row) {
                round.following.push(row);
            } else {
                round.rows.push(row);
            }
        }
        if !self.has(Rule::PublishThenRecord) {
            state.database.log = state.database.log.without(Messages::of(rows.iter()));
            state.flush();
        }
        let relay = &mut state.relays[name];
        (relay.at, relay.round, relay.stopped) = (At::Sending, round, Messages::NONE);
    }

    fn store(&self, state: &mut State, message: Message) {
        let is_missing = |m: Message| state.broker.stored[m] == 0;
        let writer = state.writers[message];
        if is_missing(message) {
            state.history.out_of_order |= writer.behind.iter().any(is_missing);
            state.history.out_of_commit_order |=
                self.bounds.row_locks && writer.committed_behind.iter().any(is_missing);
        }
        state.history.invented |= writer.stage != Stage::Committed;
        state.broker.stored[message] = (state.broker.stored[message] + 1).min(2);
    }

    fn acknowledged(&self, state: &mut State, name: Name) {
        let Some(message) = state.relays[name].round.rows.first() else {
            return;
        };
        let round = &mut state.relays[name].round;
        let of_key = |m: Message| m.key() == message.key();
        // The broker keeps its contract: behind a refused or unknown message of a key it stores nothing of that key.
        if self.has(Rule::NothingBehindUnknown) && round.unknown.iter().any(of_key) {
            round.rows.remove(message);
            round.unknown.insert(message);
        } else if self.has(Rule::NothingBehindRefused) && round.refused.iter().any(of_key) {
            round.rows.remove(message);
            follow(round, message);
        } else {
            round.rows.remove(message);
            round.acknowledged.insert(message);
            let database = state.database;
            let owns =
                database.owner == Owner::Living(name) && database.fence == state.relays[name].fence;
            let is_recorded = !database.log.contains(message) && !database.held.contains(message);
            state.history.sent_again |= owns && is_recorded;
            self.store(state, message);
        }
        settle(&mut state.relays[name]);
    }

    fn refused(&self, state: &mut State, name: Name) {
        let Some(message) = state.relays[name].round.rows.first() else {
            return;
        };
        state.happened.refusals += 1;
        state.history.refused.insert(message);
        self.stop(&mut state.relays[name], message);
    }

    fn stop(&self, relay: &mut Relay, message: Message) {
        let round = &mut relay.round;
        let of_key = |m: Message| m.key() == message.key();
        let is_behind_unknown = round.unknown.iter().any(of_key);
        let is_behind_refused = round.refused.iter().any(of_key);
        round.rows.remove(message);
        if is_behind_unknown && self.has(Rule::RefusalWaitsItsTurn) {
            round.unknown.insert(message);
        } else if is_behind_refused && self.has(Rule::OneStopPerKey) {
            follow(round, message);
        } else {
            round.refused.insert(message);
            if !round.held.contains(message) {
                round.stopped.push(message);
            }
        }
        if !self.has(Rule::StopsItsKeyOnly) {
            for behind in round.rows.iter() {
                round.rows.remove(behind);
                follow(round, behind);
            }
        }
        settle(relay);
    }

    fn unanswered(&self, state: &mut State, name: Name, fate: Fate) {
        let Some(message) = state.relays[name].round.rows.first() else {
            return;
        };
        state.happened.lost_answers += 1;
        if !self.has(Rule::UnknownMovesNothing) {
            self.stop(&mut state.relays[name], message);
            return;
        }
        let of_key = |m: Message| m.key() == message.key();
        let round = &mut state.relays[name].round;
        let is_behind = round.unknown.and(round.refused).iter().any(of_key);
        round.rows.remove(message);
        round.unknown.insert(message);
        settle(&mut state.relays[name]);
        match fate {
            // Behind a refused or unknown message it was not even tried.
            _ if is_behind => {}
            Fate::Stored => self.store(state, message),
            Fate::StoredLater => state.broker.in_flight.insert(message),
            Fate::NotStored => {}
        }
    }

    fn check_fence(&self, state: &mut State, name: Name) {
        let database = state.database;
        let is_owner =
            database.owner != Owner::Nobody && database.fence == state.relays[name].fence;
        if self.has(Rule::FenceIsChecked) && !is_owner {
            state.history.fenced = true;
            state.relays[name] = Relay::default();
        } else {
            state.relays[name].at = At::Recording;
        }
    }

    /// One statement: what was acknowledged goes, what was refused moves. Written twice it is as written once.
    fn record(&self, state: &mut State, name: Name) {
        let Relay { fence, round, .. } = state.relays[name];
        state.history.stale_write |= fence != state.database.fence;
        let moves = !round.stopped.is_empty() || !round.following.is_empty();
        if self.has(Rule::MoveAtOnce) {
            move_aside(state, &round);
        }
        let database = &mut state.database;
        let aside = Messages::of(round.stopped.iter().chain(round.following.iter()));
        database.log = database.log.without(round.acknowledged).without(aside);
        for message in round.acknowledged.iter() {
            database.held.remove(message);
        }
        let recorded = round.acknowledged.iter().map(|m| state.writers[m].position);
        let cursor = recorded.max().unwrap_or_default();
        if !self.has(Rule::VisibleRows) {
            state.relays[name].cursor = state.relays[name].cursor.max(cursor);
        }
        // Acknowledgements alone are committed asynchronously: one that is lost only publishes again.
        if moves {
            state.flush();
        }
    }
}

/// A follower that lies in the side table already stays in its place there.
fn follow(round: &mut Round, message: Message) {
    if !round.held.contains(message) {
        round.following.push(message);
    }
}

/// Nothing to send, nothing to record: the round is over.
fn settle(relay: &mut Relay) {
    let Round {
        rows,
        acknowledged,
        stopped,
        following,
        ..
    } = relay.round;
    if rows.is_empty() && acknowledged.is_empty() && stopped.is_empty() && following.is_empty() {
        (relay.at, relay.round) = (At::Idle, Round::default());
    }
}

/// To the end of the side table: stops, then followers. Rows that are no longer in the log have been moved before.
fn move_aside(state: &mut State, round: &Round) {
    for message in round.stopped.iter().chain(round.following.iter()) {
        state.database.held.push(message);
    }
}
