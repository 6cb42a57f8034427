//! What can happen, and what comes of it.

use crate::prelude::*;

use super::{At, Client, Model, Row, Rule, State, Work};

impl Model {
    /// What a living client does.
    pub(super) fn client(&self, name: Name, steps: &mut Steps<'_, State>) {
        let state = *steps.state;
        let client = state.clients[name];
        let owner = (name, client.attempt);
        if client.is_gone {
            Self::commits(name, steps);
            return;
        }
        match client.at {
            At::Idle if client.has_written => steps.duty(name, "is done", |s| {
                s.clients[name].at = At::Done;
            }),
            At::Idle => steps.duty(name, "asks for the lock", |s| {
                let client = &mut s.clients[name];
                (client.at, client.passed) = (At::Asking, false);
                client.attempt += 1;
            }),
            At::Asking if state.row.is_free_for(owner) => {
                if self.has(Rule::DrawInTurn) {
                    steps.duty(name, "is granted the lock", |s| {
                        let token = self.draw(s, name, owner);
                        s.grant(name, owner, token);
                        s.clients[name].at = At::Granted(token);
                    });
                    steps.mishap(LostAnswer, name, "is granted it, and does not hear", |s| {
                        let token = self.draw(s, name, owner);
                        s.grant(name, owner, token);
                        let another = u8::from(!self.has(Rule::SameOwnerAgain));
                        s.clients[name].attempt += another;
                    });
                } else {
                    steps.duty(name, "draws its token", |s| {
                        s.clients[name].at = At::Drawn(self.draw(s, name, owner));
                    });
                }
            }
            At::Drawn(token) if state.row.is_free_for(owner) => {
                steps.duty(name, "is granted the lock", |s| {
                    s.grant(name, owner, token);
                    s.clients[name].at = At::Granted(token);
                });
            }
            At::Granted(_) if client.passed && self.has(Rule::DeadlineFromRequest) => {
                steps.duty(name, "hears too late, and asks again", |s| {
                    let client = &mut s.clients[name];
                    (client.at, client.passed) = (At::Asking, false);
                });
            }
            At::Granted(token) => steps.duty(name, "hears that it has the lock", |s| {
                let client = &mut s.clients[name];
                (client.at, client.token, client.passed) = (At::Holding, token, false);
            }),
            At::Holding => self.holds(name, steps),
            At::Releasing => {
                self.believes_longer(name, steps);
                let released = |s: &mut State| s.release(name, owner, self);
                steps.duty(name, "is released", |s| {
                    released(s);
                    s.clients[name].at = At::Released;
                });
                steps.mishap(LostAnswer, name, "is released, and does not hear", released);
            }
            At::Released => {
                self.believes_longer(name, steps);
                steps.duty(name, "hears that it is released", |s| {
                    s.clients[name].at = At::Done;
                });
            }
            At::Asking | At::Drawn(_) | At::Done => {}
        }
        Self::commits(name, steps);
    }

    fn holds(&self, name: Name, steps: &mut Steps<'_, State>) {
        let state = *steps.state;
        let client = state.clients[name];
        let is_idle = !client.polled && client.work == Work::None;
        if client.polled {
            self.works(name, client, steps);
            return;
        }
        if client.passed && self.has(Rule::CheckedBeforePoll) {
            steps.duty(name, "drops its work, since its deadline has passed", |s| {
                s.give_up_lease(name);
            });
        } else if client.has_written && is_idle {
            steps.duty(name, "releases the lock", |s| {
                s.clients[name].at = At::Releasing;
            });
        } else if !client.has_written && !matches!(client.work, Work::Committing(..)) {
            Self::is_polled(name, steps);
        }
    }

    /// Wrongly: other work under the same lock, until its release is answered.
    fn believes_longer(&self, name: Name, steps: &mut Steps<'_, State>) {
        if !self.has(Rule::EndsBeforeRelease) {
            Self::is_polled(name, steps);
        }
    }

    fn is_polled(name: Name, steps: &mut Steps<'_, State>) {
        let client = steps.state.clients[name];
        if client.polled {
            return;
        }
        steps.duty(name, "is polled", |s| {
            let is_other = |owner| owner != (name, client.attempt);
            s.polled_beside |= s.row.owner.is_some_and(is_other) && s.row.is_held();
            // What it does in a poll while it releases does not matter here.
            s.clients[name].polled = s.clients[name].at == At::Holding;
        });
    }

    /// In the middle of a poll, however late.
    fn works(&self, name: Name, client: Client, steps: &mut Steps<'_, State>) {
        let state = *steps.state;
        match client.work {
            Work::None if self.has(Rule::CheckLocks) && state.checking.is_some() => {
                steps.duty(name, "waits for the fence", |s| {
                    s.clients[name].polled = false;
                });
            }
            Work::None if self.has(Rule::TokenIsChecked) && client.token < state.fence => {
                steps.duty(name, "is refused", |s| {
                    s.refused = true;
                    s.clients[name].told = s.fence;
                    s.give_up_lease(name);
                });
            }
            Work::None => steps.duty(name, "checks its token", |s| {
                s.clients[name].work = Work::Checked(s.version);
                if self.has(Rule::CheckLocks) {
                    s.checking = Some(name);
                }
            }),
            Work::Checked(found) => {
                steps.duty(name, "sends its commit", |s| {
                    let client = &mut s.clients[name];
                    client.work = Work::Committing(found, client.token);
                    client.polled = false;
                });
                steps.choice(name, "waits for an answer", |s| {
                    s.clients[name].polled = false;
                });
            }
            Work::Committing(..) => {}
        }
    }

    /// A commit arrives, whatever has become of its client.
    fn commits(name: Name, steps: &mut Steps<'_, State>) {
        let Work::Committing(found, token) = steps.state.clients[name].work else {
            return;
        };
        steps.duty(name, "commits", |s| {
            s.stale_write |= token < s.fence;
            s.lost_write |= found != s.version;
            s.fence = s.fence.max(token);
            s.version += 1;
            s.end_transaction(name);
            s.clients[name].has_written = true;
        });
    }

    /// What an attempt that was given up has left behind.
    pub(super) fn late_requests(&self, name: Name, steps: &mut Steps<'_, State>) {
        let client = steps.state.clients[name];
        if let Some(attempt) = client.late_request {
            let owner = (name, attempt);
            steps.duty(name, "had sent a request, which arrives", |s| {
                if s.row.is_free_for(owner) {
                    let token = self.draw(s, name, owner);
                    s.grant(name, owner, token);
                }
                s.clients[name].late_request = None;
            });
        }
        for attempt in client.give_back.iter() {
            let is_late = client.late_request == Some(attempt);
            if is_late && self.has(Rule::ReleaseBehindRequest) {
                continue;
            }
            steps.duty(name, "has its lock given back", |s| {
                if s.row.owner == Some((name, attempt)) {
                    s.row = Row::default();
                }
                s.clients[name].give_back.remove(attempt);
            });
        }
    }

    /// A lease ends: first on the side of its client, then in the store.
    pub(super) fn time(&self, name: Name, steps: &mut Steps<'_, State>) {
        let state = *steps.state;
        let client = state.clients[name];
        let waits = matches!(client.at, At::Asking | At::Granted(_) | At::Holding);
        if waits && !client.passed && !client.is_gone {
            steps.mishap(Stall, name, "is past its deadline", |s| {
                s.clients[name].passed = true;
            });
        }
        let is_mine = |(owner, _)| owner == name;
        if !state.row.is_held() || !state.row.owner.is_some_and(is_mine) {
            return;
        }
        let is_current = state.row.owner == Some((name, client.attempt));
        // Of one that gave up nobody is to wait for the end.
        let ended = |s: &mut State| s.row.ended = true;
        match client.at {
            _ if client.has_died => steps.duty(name, "is dead, and its lease ends", ended),
            _ if client.is_gone => {}
            _ if is_current && client.passed => steps.duty(name, "has its lease ended", ended),
            At::Granted(_) if is_current && !self.has(Rule::DeadlineFromRequest) => {
                steps.mishap(Stall, name, "has its lease ended, and does not know", ended);
            }
            _ => {}
        }
    }

    pub(super) fn mishaps(name: Name, steps: &mut Steps<'_, State>) {
        let client = steps.state.clients[name];
        if client.is_gone || client.at == At::Done {
            return;
        }
        steps.mishap(Crash, name, "dies", |s| {
            s.roll_back(name);
            let client = &mut s.clients[name];
            (client.is_gone, client.has_died, client.polled) = (true, true, false);
            client.give_back = Offsets::NONE;
        });
        if client.at == At::Asking {
            steps.mishap(Release, name, "gives up", |s| {
                let client = &mut s.clients[name];
                client.is_gone = true;
                client.late_request = Some(client.attempt);
                client.give_back.insert(client.attempt);
            });
        }
    }

    /// The token for an attempt: its own, if it is the owner already.
    fn draw(&self, state: &mut State, name: Name, owner: (Name, u8)) -> u8 {
        let told = state.clients[name].told;
        let floor = if self.has(Rule::AboveTheFloor) {
            told
        } else {
            0
        };
        if state.row.owner == Some(owner) && state.row.token > floor {
            return state.row.token;
        }
        state.drawn = state.drawn.max(floor) + 1;
        state.drawn
    }
}

impl State {
    fn grant(&mut self, name: Name, owner: (Name, u8), token: u8) {
        let is_again = self.row.owner == Some(owner);
        self.token_fell |= token <= self.newest && !is_again;
        self.below_told |= token <= self.clients[name].told;
        self.newest = self.newest.max(token);
        self.row = Row {
            owner: Some(owner),
            token,
            ended: false,
        };
    }

    fn release(&mut self, name: Name, owner: (Name, u8), model: &Model) {
        let is_own = self.row.owner == Some(owner);
        if is_own || !model.has(Rule::ReleaseByOwner) {
            let is_others = self.row.owner.is_some_and(|(other, _)| other != name);
            self.freed_other |= is_others && self.row.is_held();
            self.row = Row::default();
        }
    }

    /// It holds the lock no more: what it has open is dropped, and the lock is given back in the background.
    fn give_up_lease(&mut self, name: Name) {
        self.roll_back(name);
        let client = &mut self.clients[name];
        client.give_back.insert(client.attempt);
        (client.at, client.token, client.polled) = (At::Idle, 0, false);
    }

    /// Ends its transaction, unless its commit is under way.
    fn roll_back(&mut self, name: Name) {
        if !matches!(self.clients[name].work, Work::Committing(..)) {
            self.end_transaction(name);
        }
    }

    fn end_transaction(&mut self, name: Name) {
        self.clients[name].work = Work::None;
        if self.checking == Some(name) {
            self.checking = None;
        }
    }
}
