//! A relay's round.

use crate::prelude::*;

use super::{At, Fate, Model, Owner, Relay, Round, Rule, State};

impl Model {
    /// Rows fetched at once.
    const fn limit(&self) -> usize {
        if self.form.in_parts { 2 } else { 5 }
    }

    /// Rows of the log that a relay sees, in position order.
    pub(super) fn log_rows(&self, state: &State, name: Name) -> Queue {
        let outbox = &state.outbox;
        let mut rows = state.database.log;
        if !self.has(Rule::CommittedRows) {
            let open = self.all().filter(|m| outbox.stage(*m) == Stage::Written);
            rows = rows.and(open.collect());
        }
        if !self.has(Rule::VisibleRows) {
            rows = outbox.above(state.relays[name].cursor, rows);
        }
        let rows = outbox.in_order(rows).iter();
        rows.take(self.limit()).collect()
    }

    /// One statement, one snapshot. Rows of a blocked key are held behind its deferred ones.
    pub(super) fn fetch(&self, state: &mut State, name: Name, is_due: bool) {
        let limit = self.limit() * usize::from(is_due);
        let due: Queue = state.database.deferred.iter().take(limit).collect();
        let rows = self.log_rows(state, name);
        let (now, peeked) = (state.database.deferred.set(), state.relays[name].peeked);
        let blocked = self.either(Rule::OneSnapshot, now, peeked);
        let outbox = &state.outbox;
        let stored = outbox.broker.all();
        state.gap_filled |= outbox.broker.missing(rows.set()).iter().any(|row| {
            let later = outbox.above(outbox.position(row), stored);
            !later.is_empty()
        });
        let mut round = Round {
            rows: due,
            deferred: due.set(),
            ..Round::default()
        };
        for row in rows.iter() {
            if self.has(Rule::BlockedKeyWaits) && blocked.has_key_of(row) {
                round.held.push(row);
            } else {
                round.rows.push(row);
            }
        }
        if !self.has(Rule::PublishThenRecord) {
            state.database.log = state.database.log.without(rows.set());
            state.flush();
        }
        let relay = &mut state.relays[name];
        (relay.at, relay.round, relay.peeked) = (At::Sending, round, Messages::NONE);
    }

    pub(super) fn store(&self, state: &mut State, message: Message) {
        let broker = &state.outbox.broker;
        let overtakes = !broker.missing(state.committed_behind[message]).is_empty();
        state.out_of_commit_order |= self.form.row_locks && !broker.has(message) && overtakes;
        state.outbox.store(message);
    }

    /// The broker's contract: behind a refused or unknown message it stores nothing of that key.
    pub(super) fn acknowledged(&self, state: &mut State, name: Name, message: Message) {
        let relay = &mut state.relays[name];
        let round = &mut relay.round;
        round.rows.remove(message);
        if self.has(Rule::NothingBehindUnknown) && round.unknown.has_key_of(message) {
            round.unknown.insert(message);
        } else if self.has(Rule::NothingBehindRefused) && round.refused.has_key_of(message) {
            round.hold(message);
        } else {
            round.acknowledged.insert(message);
            let database = &state.database;
            let owns = database.owner == Owner::Living(name) && database.token == relay.token;
            let is_there = database.log.contains(message) || database.deferred.contains(message);
            state.sent_again |= owns && !is_there;
            self.store(state, message);
        }
        state.relays[name].end_empty_round();
    }

    /// A message was refused: its key is blocked.
    pub(super) fn block(&self, relay: &mut Relay, message: Message) {
        let round = &mut relay.round;
        round.rows.remove(message);
        if round.unknown.has_key_of(message) && self.has(Rule::RefusalWaitsItsTurn) {
            round.unknown.insert(message);
        } else if round.refused.has_key_of(message) && self.has(Rule::OneBlockPerKey) {
            round.hold(message);
        } else {
            round.refused.insert(message);
            if !round.deferred.contains(message) {
                round.blocking.push(message);
            }
        }
        if !self.has(Rule::BlocksItsKeyOnly) {
            let behind = std::mem::take(&mut round.rows);
            behind.iter().for_each(|message| round.hold(message));
        }
        relay.end_empty_round();
    }

    pub(super) fn unanswered(&self, state: &mut State, name: Name, message: Message, fate: Fate) {
        let relay = &mut state.relays[name];
        relay.round.rows.remove(message);
        if !self.has(Rule::UnknownMovesNothing) {
            self.block(relay, message);
            return;
        }
        // Behind a refused or unknown message it was not even tried.
        let is_tried = !(relay.round.unknown.and(relay.round.refused)).has_key_of(message);
        relay.round.unknown.insert(message);
        relay.end_empty_round();
        match fate {
            Fate::Stored if is_tried => self.store(state, message),
            Fate::StoredLater if is_tried => state.under_way.insert(message),
            Fate::Stored | Fate::StoredLater | Fate::NotStored => {}
        }
    }

    pub(super) fn check_token(&self, state: &mut State, name: Name) {
        let (token, database) = (state.relays[name].token, &state.database);
        let is_owner = database.owner != Owner::Nobody && database.token == token;
        if self.has(Rule::TokenIsChecked) && !is_owner {
            state.fenced = true;
            state.relays[name] = Relay::default();
        } else {
            state.relays[name].at = At::Recording;
        }
    }

    /// One statement: acknowledged rows go, refused ones move. Written twice it is as written once.
    pub(super) fn record(&self, state: &mut State, name: Name) {
        let Relay { token, round, .. } = state.relays[name];
        state.stale_write |= token != state.database.token;
        if self.has(Rule::MoveAtOnce) {
            state.move_aside(name);
        }
        let gone = round.acknowledged.and(round.aside());
        state.database.log = state.database.log.without(gone);
        for message in round.acknowledged.iter() {
            state.database.deferred.remove(message);
        }
        if !self.has(Rule::VisibleRows) {
            let recorded = round.acknowledged.iter().map(|m| state.outbox.position(m));
            let cursor = &mut state.relays[name].cursor;
            *cursor = recorded.fold(*cursor, u8::max);
        }
        // Acknowledgements alone are committed asynchronously: a lost one only publishes again.
        if !round.aside().is_empty() {
            state.flush();
        }
    }
}

impl Relay {
    pub(super) fn end_round(&mut self) {
        (self.at, self.round) = (At::Idle, Round::default());
    }

    /// Nothing to send, nothing to record: the round is over.
    fn end_empty_round(&mut self) {
        let round = &self.round;
        if round.rows.is_empty() && round.acknowledged.and(round.aside()).is_empty() {
            self.end_round();
        }
    }
}

impl State {
    /// To the end of the deferred table. Rows that are no longer in the log have been moved before.
    pub(super) fn move_aside(&mut self, name: Name) {
        let round = &self.relays[name].round;
        for message in round.blocking.iter().chain(round.held.iter()) {
            self.database.deferred.push(message);
        }
    }
}
