//! What can happen, and what comes of it.

use crate::prelude::*;

use super::{Is, Model, Request, Rule, Slot, Stage, State};

impl Model {
    /// What a request asks for.
    pub(super) fn body(&self, request: Message) -> bool {
        self.form.other_body && self.messages.last() == Some(&request)
    }

    /// The key under which a request is kept.
    fn slot(&self, request: Message) -> Key {
        self.either(Rule::ScopeInKey, request.key(), Key::K)
    }

    /// Requests that were answered, and whose answers they got.
    pub(super) fn answered<'a>(
        &'a self,
        state: &'a State,
    ) -> impl Iterator<Item = (Message, Message)> + 'a {
        self.all()
            .filter_map(|asked| Some((asked, state.requests[asked].answer?)))
    }

    /// Whether the request's lease is the key's newest one.
    fn is_newest(&self, state: &State, r: Message) -> bool {
        let slot = &state.keys[self.slot(r)];
        slot.token == state.requests[r].token && slot.is != Is::Free
    }

    /// Whether its lease lasts.
    fn lasts(&self, state: &State, r: Message) -> bool {
        self.is_newest(state, r) && state.keys[self.slot(r)].is == Is::Leased
    }

    pub(super) fn requests(&self, steps: &mut Steps<'_, State>) {
        for r in self.all() {
            let state = steps.state;
            match state.requests[r].stage {
                Stage::Waiting => self.begins(r, steps),
                Stage::Working if self.has(Rule::WorkStops) && !self.lasts(state, r) => {
                    steps.duty(r, "is stopped", |s| s.requests[r] = Request::default());
                }
                Stage::Working => steps.duty(r, "makes the effect", |s| {
                    s.late_work |= !self.lasts(s, r);
                    s.requests[r].stage = Stage::Made;
                    if self.is_newest(s, r) {
                        s.keys[self.slot(r)].is_made = true;
                    }
                }),
                Stage::Made => {
                    if !self.has(Rule::AnswerIsKeptFirst) {
                        steps.choice(r, "answers", |s| self.give(s, r, r));
                    }
                    steps.duty(r, "completes", |s| self.complete(s, r, true));
                    steps.mishap(LostAnswer, r, "completes unheard", |s| {
                        self.complete(s, r, false);
                    });
                }
                Stage::Answered | Stage::Mismatch => {}
            }
            if matches!(state.requests[r].stage, Stage::Working | Stage::Made) {
                self.surprises(r, steps);
            }
        }
    }

    fn begins(&self, r: Message, steps: &mut Steps<'_, State>) {
        let key = self.slot(r);
        let Slot { is, by, .. } = steps.state.keys[key];
        let by = by.filter(|_| is != Is::Free);
        let compares = is == Is::Done || self.has(Rule::FingerprintInEveryState);
        if let Some(by) = by
            && compares
            && self.body(by) != self.body(r)
        {
            steps.duty(r, "meets another request", |s| {
                s.requests[r].stage = Stage::Mismatch;
            });
            return;
        }
        match (is, by) {
            (Is::Done, Some(by)) => steps.duty(r, "is answered again", |s| {
                s.replayed = true;
                self.answer(s, r, by);
            }),
            // It is told that the key is running, and asks again.
            (Is::Leased, _) if self.has(Rule::StoreClock) => {}
            _ => {
                steps.duty(r, "begins", |s| self.begin(s, r, true));
                steps.mishap(LostAnswer, r, "begins unheard", |s| self.begin(s, r, false));
            }
        }
    }

    fn begin(&self, state: &mut State, r: Message, hears: bool) {
        let key = self.slot(r);
        let known = state.keys[key];
        state.two_holders |= known.is == Is::Leased && known.has_holder;
        state.taken_over |= known.is == Is::Ended && known.by != Some(r);
        let others = known.by.filter(|by| self.body(*by) != self.body(r));
        state.another_body |= known.is != Is::Free && known.is_made && others.is_some();
        state.time += 1;
        let next = known.token + u8::from(self.has(Rule::TokenRises) || known.token == 0);
        let floor = if self.has(Rule::TokenRises) {
            state.time
        } else {
            1
        };
        let token = self.either(Rule::TimeIsTheFloor, next.max(floor), next);
        state.token_regressed |= token <= state.highest[key];
        state.highest[key] = state.highest[key].max(token);
        state.keys[key] = Slot {
            is: Is::Leased,
            token,
            by: Some(r),
            has_holder: hears,
            is_made: known.is_made && known.is != Is::Free,
        };
        if hears {
            state.requests[r] = Request {
                stage: Stage::Working,
                token,
                answer: None,
            };
        }
    }

    fn complete(&self, state: &mut State, r: Message, hears: bool) {
        let key = self.slot(r);
        if self.has(Rule::CompletingIsFenced) && !self.is_newest(state, r) {
            state.fenced = true;
            state.requests[r] = Request::default();
            return;
        }
        let slot = &mut state.keys[key];
        if slot.is != Is::Done || !self.has(Rule::CompletingIsFenced) {
            slot.by = Some(r);
            (slot.is, slot.has_holder) = (Is::Done, false);
        }
        if hears {
            self.answer(state, r, r);
        }
    }

    /// What befalls a process that has, or believes to have, a lease.
    fn surprises(&self, r: Message, steps: &mut Steps<'_, State>) {
        let key = self.slot(r);
        let is_newest = self.is_newest(steps.state, r);
        if self.lasts(steps.state, r) {
            steps.mishap(Stall, r, "is late: its lease ends", |s| {
                s.keys[key].is = Is::Ended;
                s.keys[key].has_holder = false;
            });
        }
        if !is_newest && !self.has(Rule::RenewingIsFenced) {
            steps.choice(r, "renews", |s| {
                if let Is::Leased | Is::Ended = s.keys[key].is {
                    s.keys[key].is = Is::Leased;
                    s.foreign_renewal = true;
                }
            });
        }
        steps.mishap(Failure, r, "fails and releases", |s| {
            let may = is_newest && s.keys[key].is != Is::Done;
            if may || !self.has(Rule::ReleasingIsFenced) {
                let token = s.keys[key].token;
                s.keys[key] = Slot {
                    token,
                    ..Slot::default()
                };
            }
            s.requests[r] = Request::default();
        });
        steps.mishap(Crash, r, "crashes", |s| {
            s.requests[r] = Request::default();
            if is_newest {
                s.keys[key].has_holder = false;
            }
        });
    }

    /// What the store and time do.
    pub(super) fn surroundings(&self, steps: &mut Steps<'_, State>) {
        for key in [Key::K, Key::L] {
            let slot = steps.state.keys[key];
            let is_left = slot.is == Is::Leased && !slot.has_holder;
            let ends = is_left && self.has(Rule::LeaseEnds);
            steps.duty_if(ends, key, "is left until its lease ends", |s| {
                s.keys[key].is = Is::Ended;
            });
            if slot.is == Is::Done {
                steps.mishap(Expiry, key, "expires", |s| {
                    s.keys[key] = Slot::default();
                    s.given[key] = None;
                });
            }
        }
        steps.mishap(ServerCrash, "the store", "restarts empty", |s| {
            s.keys = super::Keyed::default();
        });
    }

    fn answer(&self, state: &mut State, r: Message, by: Message) {
        self.give(state, r, by);
        state.requests[r].stage = Stage::Answered;
    }

    fn give(&self, state: &mut State, r: Message, by: Message) {
        let given = &mut state.given[self.slot(r)];
        state.another_answer |= given.is_some_and(|other| other != by);
        *given = Some(by);
        state.requests[r].answer = Some(by);
    }
}
