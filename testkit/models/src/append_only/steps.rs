//! What can happen outside of rounds: writers, takeovers, the watermark, partitions.

use crate::prelude::*;

use super::{At, Model, Partition, Relay, Rule, Settling, State, Step, unpublished};

impl Model {
    pub(super) fn writers(&self, steps: &mut Steps<'_, State>) {
        let outbox = &steps.state.outbox;
        for message in self.all() {
            let stage = outbox.stage(message);
            match stage {
                Stage::NotBegun if !outbox.have_begun(self.preceding(message)) => {}
                Stage::NotBegun | Stage::Begun => {
                    let first = stage == Stage::NotBegun;
                    let [id, draw] = ["takes its transaction id", "draws its position"];
                    let takes_id = first == self.has(Rule::IdBeforeDraw);
                    steps.duty(message, if takes_id { id } else { draw }, |s| {
                        if takes_id {
                            s.last_id += 1;
                            s.ids[message] = s.last_id;
                        } else {
                            s.outbox.draw(message);
                            s.partitions[message] = s.current;
                        }
                        let stage = &mut s.outbox.writers[message].stage;
                        *stage = if first { Stage::Begun } else { Stage::Written };
                    });
                }
                Stage::Written => {
                    let ends = |stage| move |s: &mut State| s.outbox.writers[message].stage = stage;
                    steps.duty(message, "is committed", ends(Stage::Committed));
                    steps.mishap(Rollback, message, "rolls back", ends(Stage::RolledBack));
                }
                Stage::LockedLate | Stage::Committed | Stage::RolledBack => {}
            }
        }
    }

    pub(super) fn relays(&self, steps: &mut Steps<'_, State>) {
        for name in Name::BOTH {
            let relay = &steps.state.relays[name];
            if relay.known.token != steps.state.cursor.token {
                steps.mishap(Takeover, name, "takes over", |s| {
                    s.cursor.token += 1;
                    s.relays[name] = Relay {
                        known: s.cursor,
                        blocked: s.deferred.set(),
                        ..Relay::default()
                    };
                });
            }
            if relay.known.token == 0 {
                continue;
            }
            let crashes = |s: &mut State| s.relays[name] = Relay::default();
            steps.mishap(Crash, name, "crashes", crashes);
            self.round(name, steps);
            // With two rounds in flight it is one relay that does the rest.
            if !self.form.pipeline || name == Name::A {
                self.settling(name, steps);
                self.deferred(name, steps);
            }
        }
    }

    fn settling(&self, name: Name, steps: &mut Steps<'_, State>) {
        let relay = &steps.state.relays[name];
        let is_clean = self.is_clean(steps.state, relay);
        let step = relay.settling.step;
        match step {
            Step::Idle if relay.known.watermark == steps.state.outbox.drawn => {}
            Step::Idle | Step::Begun => {
                let is_first = step == Step::Idle;
                let then = if is_first { Step::Begun } else { Step::Waiting };
                let reads = is_first == self.has(Rule::LimitFirst);
                let what = if reads { "reads L" } else { "takes X" };
                steps.duty(name, what, |s| {
                    if reads {
                        s.relays[name].settling.limit = s.outbox.drawn;
                    } else {
                        self.take_id(s, name);
                    }
                    s.relays[name].settling.step = then;
                });
            }
            Step::Waiting if !self.has(Rule::ReadAfterSeen) && !relay.settling.has_read => {
                steps.duty_if(is_clean, name, "reads up to L", |s| {
                    s.relays[name].settling.has_read = true;
                });
            }
            Step::Waiting => {
                let is_seen =
                    self.have_ended(steps.state, relay) || !self.has(Rule::WaitForTheOpen);
                steps.duty_if(is_seen, name, "sees that those before X have ended", |s| {
                    let settling = &mut s.relays[name].settling;
                    (settling.id, settling.holders) = (0, Messages::NONE);
                    settling.step = self.either(Rule::ReadAfterSeen, Step::Seen, Step::Moving);
                });
            }
            Step::Seen => {
                let may_move = is_clean || !self.has(Rule::LastRead);
                let moves = |s: &mut State| s.relays[name].settling.step = Step::Moving;
                steps.duty_if(may_move, name, "reads up to L", moves);
            }
            Step::Moving => steps.duty(name, "moves the watermark", |s| {
                if self.may_write(s, name) {
                    let relay = &mut s.relays[name];
                    let known = &mut relay.known;
                    known.watermark = known.watermark.max(relay.settling.limit);
                    known.published = s.outbox.above(known.watermark, known.published);
                    relay.settling = Settling::default();
                    self.write_cursor(s, name);
                }
            }),
        }
    }

    /// X, or the list of those who hold the table's lock.
    fn take_id(&self, state: &mut State, name: Name) {
        if self.form.by_locks {
            let open = self.all().filter(|m| state.is_open(*m)).collect();
            state.relays[name].settling.holders = open;
        } else {
            state.last_id += 1;
            state.relays[name].settling.id = state.last_id;
        }
    }

    /// Whether those that could still fill a hole up to L have ended.
    fn have_ended(&self, state: &State, relay: &Relay) -> bool {
        let mut open = self.all().filter(|m| state.is_open(*m));
        if self.form.by_locks {
            !open.any(|m| relay.settling.holders.contains(m))
        } else {
            open.all(|m| state.ids[m] > relay.settling.id)
        }
    }

    /// Whether the read before the watermark's move finds nothing up to L.
    fn is_clean(&self, state: &State, relay: &Relay) -> bool {
        let mut rows = unpublished(state, relay);
        rows = rows.without(state.outbox.above(relay.settling.limit, rows));
        if !self.has(Rule::InFlightIsUnpublished) {
            for relay in state.relays.values() {
                rows = rows.without(relay.round.in_flight());
            }
        }
        rows.is_empty()
    }

    fn deferred(&self, name: Name, steps: &mut Steps<'_, State>) {
        let relay = &steps.state.relays[name];
        if relay.served.is_some() {
            steps.duty(name, "removes a row", |s| self.remove_served(s, name));
        } else if let Some(head) = steps.state.deferred.first() {
            let is_idle = relay.round.at == At::Idle;
            let log_is_done = is_idle && unpublished(steps.state, relay).is_empty();
            let may_serve = self.has(Rule::DeferredFirst) || log_is_done;
            steps.duty_if(may_serve, name, "sends the first deferred row", |s| {
                send(s, name, head);
                s.relays[name].served = Some(head);
            });
        }
    }

    fn remove_served(&self, state: &mut State, name: Name) {
        if self.may_write(state, name)
            && let Some(message) = state.relays[name].served.take()
        {
            state.recorded.insert(message);
            state.deferred.remove(message);
            let left = state.deferred.set();
            let blocked = state.relays[name].blocked.iter();
            state.relays[name].blocked = blocked.filter(|m| left.has_key_of(*m)).collect();
        }
    }

    pub(super) fn storage(&self, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        if !self.form.truncation {
            return;
        }
        if state.current == Partition::First {
            let rotates = |s: &mut State| s.current = Partition::Second;
            steps.duty("the log", "is rotated", rotates);
        }
        for partition in [Partition::First, Partition::Second] {
            let rows = state.visible().iter();
            let rows = rows.filter(|m| state.partitions[*m] == partition).collect();
            let is_below = state.outbox.above(state.cursor.watermark, rows).is_empty();
            let mut is_checked = is_below;
            if !self.has(Rule::CheckUnderLock) {
                is_checked = state.checked == Some(partition);
                let is_next = is_below && state.checked.is_none();
                steps.duty_if(is_next, partition, "is checked", |s| {
                    s.checked = Some(partition);
                });
            }
            // An open transaction that has written to it holds its lock.
            let is_locked = self.all().any(|m| {
                state.outbox.stage(m) == Stage::Written && state.partitions[m] == partition
            });
            let may_go = is_checked && !is_locked && rows != Messages::NONE;
            steps.duty_if(may_go, partition, "is truncated", |s| {
                s.truncated = s.truncated.and(rows);
            });
        }
    }
}

pub(super) fn send(state: &mut State, name: Name, message: Message) {
    let owns = state.relays[name].known.token == state.cursor.token;
    state.sent_again |= owns && state.recorded.contains(message);
    state.outbox.store(message);
}
