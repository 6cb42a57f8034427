//! A relay's round.

use crate::prelude::*;

use super::{At, Model, Relay, Round, Rule, State, send};

impl Model {
    pub(super) fn round(&self, name: Name, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        let relay = &state.relays[name];
        match relay.round.at {
            At::Idle if !self.has(Rule::OneStatement) => {
                steps.duty(name, "reads the holes", |s| {
                    let (holes, _) = holes_and_tail(s, name);
                    s.relays[name].round.rows = s.outbox.in_order(holes);
                    s.relays[name].round.at = At::Holes;
                });
            }
            At::Idle => self.reads(name, steps),
            At::Holes => steps.duty(name, "reads the tail", |s| {
                let (_, tail) = holes_and_tail(s, name);
                let rows = tail.and(s.relays[name].round.rows.set());
                self.begin(s, name, s.outbox.in_order(rows));
            }),
            At::Sending => match relay.round.rows.first() {
                None => steps.duty(name, "records", |s| self.record(s, name)),
                Some(message) => self.answers(name, message, steps),
            },
            At::HalfRecorded => steps.duty(name, "records more", |s| self.record_rest(s, name)),
        }
    }

    fn answers(&self, name: Name, m: Message, steps: &mut Steps<'_, State>) {
        steps.duty((name, m), "is acknowledged", |s| {
            s.relays[name].round.rows.remove(m);
            s.relays[name].round.acknowledged.insert(m);
            send(s, name, m);
        });
        steps.mishap(Refusal, (name, m), "is refused", |s| {
            s.relays[name].block(m);
        });
        for (stored, what) in [
            (true, "is stored, unanswered"),
            (false, "is lost, unanswered"),
        ] {
            steps.mishap(LostAnswer, (name, m), what, |s| {
                let rows = &mut s.relays[name].round.rows;
                rows.remove(m);
                if self.has(Rule::NothingBehindUnknown) {
                    *rows = rows
                        .iter()
                        .filter(|behind| behind.key() != m.key())
                        .collect();
                }
                if stored {
                    s.outbox.store(m);
                }
            });
        }
    }

    fn reads(&self, name: Name, steps: &mut Steps<'_, State>) {
        let rows = self.readable(steps.state, name);
        for limit in 1..=rows.iter().count() {
            steps.duty((name, limit), "rows are read", |s| {
                self.begin(s, name, rows.iter().take(limit).collect());
            });
        }
        if !self.has(Rule::EveryHole) && rows.iter().count() > 1 {
            let (holes, _) = holes_and_tail(steps.state, name);
            for hole in rows.iter().filter(|m| holes.contains(*m)) {
                steps.duty((name, hole), "is skipped by a read", |s| {
                    self.begin(s, name, rows.iter().filter(|m| *m != hole).collect());
                });
            }
        }
    }

    /// What a round may read now, in position order.
    fn readable(&self, state: &State, name: Name) -> Queue {
        let mut rows = unpublished(state, &state.relays[name]);
        if self.form.pipeline {
            let in_flight = state.relays[name.other()].round.in_flight();
            rows = rows.without(in_flight);
            if self.has(Rule::DisjointRounds) {
                rows = rows.iter().filter(|m| !in_flight.has_key_of(*m)).collect();
            }
        }
        if !self.has(Rule::HolesAtAll) {
            rows = state.outbox.above(highest_published(state, name), rows);
        }
        state.outbox.in_order(rows)
    }

    /// Rows of blocked keys are not sent: they are deferred, in order.
    fn begin(&self, state: &mut State, name: Name, rows: Queue) {
        let (now, believed) = (state.deferred.set(), state.relays[name].blocked);
        let blocked = self.either(Rule::BlockedKeysFromSnapshot, now, believed);
        let is_blocked = |m: &Message| self.has(Rule::DeferredFirst) && blocked.has_key_of(*m);
        let is_empty = rows.is_empty();
        state.relays[name].round = Round {
            at: if is_empty { At::Idle } else { At::Sending },
            rows: rows.iter().filter(|m| !is_blocked(m)).collect(),
            aside: rows.iter().filter(is_blocked).collect(),
            acknowledged: Messages::NONE,
        };
    }

    /// Whether a relay's write passes; one that was fenced off stops.
    pub(super) fn may_write(&self, state: &mut State, name: Name) -> bool {
        let owns = state.relays[name].known.token == state.cursor.token;
        let may = owns || !self.has(Rule::TokenIsChecked);
        if !may {
            state.relays[name] = Relay::default();
        }
        may
    }

    fn record(&self, state: &mut State, name: Name) {
        if !self.may_write(state, name) {
            return;
        }
        let aside = state.relays[name].round.aside;
        if !self.has(Rule::RecordedWithMove) {
            defer(state, aside);
            state.relays[name].round.at = At::HalfRecorded;
        } else if !self.has(Rule::MovedWithRecord) {
            self.write_ranges(state, name);
            state.relays[name].round.aside = aside;
            state.relays[name].round.at = At::HalfRecorded;
        } else {
            defer(state, aside);
            self.write_ranges(state, name);
        }
    }

    fn record_rest(&self, state: &mut State, name: Name) {
        if !self.may_write(state, name) {
        } else if self.has(Rule::RecordedWithMove) {
            defer(state, state.relays[name].round.aside);
            state.relays[name].round = Round::default();
        } else {
            self.write_ranges(state, name);
        }
    }

    fn write_ranges(&self, state: &mut State, name: Name) {
        let Relay { known, round, .. } = &mut state.relays[name];
        let done = round.acknowledged.and(round.aside.set());
        state.recorded = state.recorded.and(round.acknowledged);
        known.published = state
            .outbox
            .above(known.watermark, done.and(known.published));
        *round = Round::default();
        self.write_cursor(state, name);
    }

    pub(super) fn write_cursor(&self, state: &mut State, name: Name) {
        let known = state.relays[name].known;
        // The rounds of one relay share its memory.
        if self.form.pipeline {
            state.relays[name.other()].known = known;
        }
        let cursor = &mut state.cursor;
        (cursor.watermark, cursor.published) = if self.form.merged_cursor {
            let highest = cursor.watermark.max(known.watermark);
            let all = cursor.published.and(known.published);
            (highest, state.outbox.above(highest, all))
        } else {
            (known.watermark, known.published)
        };
    }
}

/// Visible rows that, as far as a relay knows, are not published.
pub(super) fn unpublished(state: &State, relay: &Relay) -> Messages {
    let rows = state.outbox.above(relay.known.watermark, state.visible());
    rows.without(relay.known.published)
}

/// Unpublished rows below and above the highest published position.
fn holes_and_tail(state: &State, name: Name) -> (Messages, Messages) {
    let rows = unpublished(state, &state.relays[name]);
    let tail = state.outbox.above(highest_published(state, name), rows);
    (rows.without(tail), tail)
}

fn highest_published(state: &State, name: Name) -> u8 {
    let known = &state.relays[name].known;
    let published = known.published.iter().map(|m| state.outbox.position(m));
    published.max().unwrap_or(known.watermark)
}

impl Relay {
    /// A message was refused: it, and those held behind it, are to be deferred.
    fn block(&mut self, message: Message) {
        self.blocked.insert(message);
        let rows = self.round.rows.iter();
        for held in rows.filter(|m| m.key() == message.key()) {
            self.round.rows.remove(held);
            self.round.aside.push(held);
        }
    }
}

fn defer(state: &mut State, rows: Queue) {
    for row in rows.iter() {
        state.deferred.push(row);
    }
}
