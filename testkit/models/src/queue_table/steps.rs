//! What can happen, and what comes of it.

use crate::prelude::*;

use super::{At, Model, Owner, Relay, Rule, State};

/// Where a relay with a wrong clock stops taking the shard over.
const HIGHEST_TOKEN: u8 = 3;

/// What became of a message whose answer was lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Stored,
    NotStored,
    /// It is still on its way.
    StoredLater,
}

impl Model {
    pub(super) fn writers(&self, steps: &mut Steps<'_, State>) {
        let outbox = &steps.state.outbox;
        let locks_late = self.form.row_locks && !self.has(Rule::DrawUnderLock);
        let locks_first = self.form.row_locks && !locks_late;
        for message in self.all() {
            // Where rows are locked, the locks decide who is first.
            let may_begin = self.form.row_locks || outbox.have_begun(self.preceding(message));
            let is_free = !self.is_locked(outbox, message.key());
            let becomes = |stage| move |s: &mut State| s.outbox.writers[message].stage = stage;
            match outbox.stage(message) {
                Stage::NotBegun if !may_begin => {}
                Stage::NotBegun if locks_first => {
                    steps.duty_if(is_free, message, "locks", becomes(Stage::Begun));
                }
                Stage::NotBegun | Stage::Begun => steps.duty(message, "is enqueued", |s| {
                    s.outbox.draw(message);
                    s.outbox.writers[message].stage = Stage::Written;
                }),
                Stage::Written if locks_late => {
                    steps.duty_if(is_free, message, "locks", becomes(Stage::LockedLate));
                }
                Stage::Written | Stage::LockedLate => {
                    steps.duty(message, "is committed", |s| {
                        let committed = s.outbox.committed();
                        s.committed_behind[message] = committed.of_key(message.key());
                        s.outbox.writers[message].stage = Stage::Committed;
                        s.database.log.insert(message);
                        s.flush();
                    });
                    steps.mishap(Rollback, message, "rolls back", becomes(Stage::RolledBack));
                }
                Stage::Committed | Stage::RolledBack => {}
            }
        }
    }

    fn is_locked(&self, outbox: &Outbox, key: Key) -> bool {
        let mut of_key = self.all().filter(|m| m.key() == key);
        of_key.any(|m| match outbox.stage(m) {
            Stage::Begun | Stage::LockedLate => true,
            Stage::Written => self.has(Rule::DrawUnderLock),
            Stage::NotBegun | Stage::Committed | Stage::RolledBack => false,
        })
    }

    pub(super) fn relays(&self, steps: &mut Steps<'_, State>) {
        for name in Name::BOTH {
            let relay = &steps.state.relays[name];
            match relay.at {
                At::Idle => {
                    let changes = self.lease_changes_something(steps.state, name);
                    steps.duty_if(changes, name, "leases", |s| self.lease(s, name));
                    if relay.token > 0 && self.has(Rule::OneSnapshot) {
                        self.fetches(name, steps);
                    } else if relay.token > 0 {
                        steps.duty(name, "reads which keys are blocked", |s| {
                            s.relays[name].peeked = s.database.deferred.set();
                            s.relays[name].at = At::Peeked;
                        });
                    }
                }
                At::Peeked => self.fetches(name, steps),
                At::Sending => match relay.round.rows.first() {
                    None => steps.duty(name, "checks its token", |s| self.check_token(s, name)),
                    Some(message) => self.answers(name, message, steps),
                },
                At::Recording => {
                    steps.duty(name, "records", |s| {
                        self.record(s, name);
                        s.relays[name].at = At::Moving;
                        if self.has(Rule::MoveAtOnce) {
                            s.relays[name].end_round();
                        }
                    });
                    steps.mishap(LostCommit, name, "records, and is not answered", |s| {
                        self.record(s, name);
                        s.relays[name].at = At::Sending;
                    });
                    steps.mishap(Freeze, name, "is frozen in its transaction", |s| {
                        s.relays[name].at = At::Frozen;
                        if s.database.owner == Owner::Living(name) {
                            s.database.owner = Owner::Late(name);
                        }
                    });
                }
                At::Moving => steps.duty(name, "moves rows aside", |s| {
                    s.move_aside(name);
                    s.flush();
                    s.relays[name].end_round();
                }),
                At::Frozen => {
                    let ends = self.has(Rule::ServerEndsIdle);
                    let ended = |s: &mut State| s.relays[name].at = At::FrozenAndEnded;
                    steps.duty_if(ends, name, "is ended by the server", ended);
                }
                At::FrozenAndEnded => {}
            }
        }
        for message in steps.state.under_way.iter() {
            steps.duty(message, "arrives late", |s| {
                s.under_way.remove(message);
                self.store(s, message);
            });
        }
    }

    fn fetches(&self, name: Name, steps: &mut Steps<'_, State>) {
        let has_rows = !self.log_rows(steps.state, name).is_empty();
        let is_due = !steps.state.database.deferred.is_empty();
        steps.duty_if(has_rows, name, "fetches", |s| self.fetch(s, name, false));
        steps.duty_if(is_due, name, "fetches all", |s| self.fetch(s, name, true));
    }

    fn answers(&self, name: Name, m: Message, steps: &mut Steps<'_, State>) {
        steps.duty((name, m), "is acknowledged", |s| {
            self.acknowledged(s, name, m);
        });
        steps.mishap(Refusal, (name, m), "is refused", |s| {
            s.refused.insert(m);
            self.block(&mut s.relays[name], m);
        });
        for fate in [Fate::Stored, Fate::NotStored, Fate::StoredLater] {
            let unanswered = |s: &mut State| self.unanswered(s, name, m, fate);
            steps.mishap(LostAnswer, (name, m, fate), "is unanswered", unanswered);
        }
    }

    /// What happens to processes.
    pub(super) fn surroundings(&self, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        let owner = state.database.owner;
        for name in Name::BOTH {
            let relay = &state.relays[name];
            if relay.token == 0 || matches!(relay.at, At::Frozen | At::FrozenAndEnded) {
                continue;
            }
            steps.mishap(Crash, name, "crashes", |s| {
                s.relays[name] = Relay::default();
                // The disk knows the owner by a name that no living process has.
                if s.database.owner.dies(name) {
                    s.disk.owner.dies(name);
                }
            });
            let is_between = relay.at == At::Idle || !self.has(Rule::ReleaseBetweenRounds);
            let owns = owner == Owner::Living(name) || owner == Owner::Late(name);
            if is_between && owns && !self.shard_is_locked(state, name) {
                steps.mishap(Release, name, "releases its shard", |s| {
                    s.database.owner = Owner::Nobody;
                    s.flush();
                    if s.relays[name].at == At::Idle {
                        s.relays[name].token = 0;
                    }
                });
            }
        }
        if let Owner::Living(name) = owner {
            let ends = |s: &mut State| s.database.owner = Owner::Late(name);
            steps.mishap(Stall, name, "is late: its lease ends", ends);
        }
        steps.mishap(ServerCrash, "server", "crashes", |s| self.crash_server(s));
    }

    /// Whether another relay's transaction holds a share lock on the shard's row.
    fn shard_is_locked(&self, state: &State, name: Name) -> bool {
        let other = state.relays[name.other()].at;
        let holds = matches!(other, At::Recording | At::Frozen);
        holds && self.has(Rule::ShareLock) && self.has(Rule::TokenIsChecked)
    }

    fn may_take_over(&self, state: &State, name: Name) -> bool {
        let database = &state.database;
        let is_free = match database.owner {
            Owner::Nobody | Owner::Dead => true,
            Owner::Late(owner) => owner != name,
            Owner::Living(owner) => {
                let believes_so = !self.has(Rule::DatabaseClock) && database.token < HIGHEST_TOKEN;
                owner != name && believes_so
            }
        };
        is_free && !self.shard_is_locked(state, name)
    }

    fn lease_changes_something(&self, state: &State, name: Name) -> bool {
        let token = state.relays[name].token;
        self.may_take_over(state, name)
            || match state.database.owner {
                Owner::Late(owner) => owner == name,
                Owner::Living(owner) if owner == name => token != state.database.token,
                Owner::Living(_) | Owner::Nobody | Owner::Dead => token > 0,
            }
    }

    /// One transaction: the caller lives, ended leases are forgotten, a free shard is taken.
    fn lease(&self, state: &mut State, name: Name) {
        if self.may_take_over(state, name) {
            let database = &mut state.database;
            database.owner = Owner::Living(name);
            if self.has(Rule::TokenRises) || database.token == 0 {
                database.token += 1;
            }
        } else if state.database.owner == Owner::Late(name) {
            state.database.owner = Owner::Living(name);
        }
        if self.has(Rule::LeaseOnDisk) {
            state.flush();
        }
        let owns = state.database.owner == Owner::Living(name);
        state.relays[name].token = if owns { state.database.token } else { 0 };
    }

    fn crash_server(&self, state: &mut State) {
        state.database = state.disk;
        for message in self.all() {
            let writer = &mut state.outbox.writers[message];
            if !matches!(writer.stage, Stage::NotBegun | Stage::Committed) {
                writer.stage = Stage::RolledBack;
            }
        }
        for name in Name::BOTH {
            let at = &mut state.relays[name].at;
            *at = match *at {
                At::Recording => At::Sending,
                At::Frozen => At::FrozenAndEnded,
                at => at,
            };
        }
    }
}

impl Owner {
    /// Answers whether it was this one.
    fn dies(&mut self, name: Name) -> bool {
        let is_owner = *self == Self::Living(name) || *self == Self::Late(name);
        if is_owner {
            *self = Self::Dead;
        }
        is_owner
    }
}
