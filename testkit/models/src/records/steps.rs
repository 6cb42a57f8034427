//! What can happen, and what comes of it.

use crate::prelude::*;

use super::{Lock, Model, Record, Rule, Stage, State};

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

    pub(super) fn requests(&self, steps: &mut Steps<'_, State>) {
        for r in self.all() {
            let slot = self.slot(r);
            match steps.state.requests[r].stage {
                // Where it can only be told to ask again, it may as well wait.
                Stage::Waiting if self.is_blocked(steps.state, slot) => {
                    steps.choice(r, "looks", |s| self.look(s, r));
                }
                Stage::Waiting => steps.duty(r, "looks", |s| self.look(s, r)),
                Stage::Looked if self.form.no_locks => {
                    steps.duty(r, "is fresh", |s| s.requests[r].stage = Stage::Claimed);
                }
                Stage::Looked if steps.state.locks[slot] == Lock::Free => {
                    steps.duty(r, "takes the lock", |s| {
                        s.locks[slot] = Lock::By(r);
                        s.requests[r].stage = Stage::Claimed;
                    });
                }
                Stage::Looked => steps.choice(r, "is told that the key is running", |s| {
                    s.told_running = true;
                    s.requests[r].stage = Stage::Waiting;
                }),
                Stage::Claimed => steps.duty(r, "makes its effect", |s| {
                    s.requests[r].stage = Stage::Effected;
                    if !self.has(Rule::RecordWithEffect) {
                        self.commit_effect(s, r);
                    }
                }),
                Stage::Effected => {
                    // An insert waits for another one of the same key.
                    let others = self
                        .all()
                        .filter(|other| *other != r && self.slot(*other) == slot);
                    let inserted = |other| steps.state.requests[other].stage == Stage::Completed;
                    let is_free = !{ others }.any(inserted) && steps.state.unheard[slot].is_none();
                    let completes = is_free || !self.has(Rule::UniqueKeyDecides);
                    steps.duty_if(completes, r, "completes", |s| self.complete(s, r));
                }
                Stage::Completed => self.commits(r, steps),
                Stage::Answered | Stage::Mismatch => {}
            }
            let in_transaction = matches!(
                steps.state.requests[r].stage,
                Stage::Looked | Stage::Claimed | Stage::Effected | Stage::Completed
            );
            if in_transaction {
                steps.mishap(Rollback, r, "fails", |s| self.roll_back(s, r, true));
                steps.mishap(Crash, r, "crashes", |s| self.roll_back(s, r, false));
            }
        }
    }

    /// Whether no request of the key can get further now.
    fn is_blocked(&self, state: &State, slot: Key) -> bool {
        match state.records[slot] {
            Some(record) => record.has_expired && !self.has(Rule::ReplacesExpired),
            None => state.locks[slot] != Lock::Free,
        }
    }

    fn commits(&self, r: Message, steps: &mut Steps<'_, State>) {
        let slot = self.slot(r);
        steps.duty(r, "commits", |s| {
            self.commit(s, r);
            self.answer(s, r, r);
        });
        let gives_up = |s: &mut State| {
            if self.has(Rule::BeginAgain) {
                s.requests[r].stage = Stage::Waiting;
            } else {
                self.answer(s, r, r);
            }
        };
        steps.mishap(LostCommit, r, "commits unheard", |s| {
            self.commit(s, r);
            gives_up(s);
        });
        steps.mishap(LostCommit, r, "does not commit, unheard", |s| {
            self.roll_back(s, r, true);
            gives_up(s);
        });
        if steps.state.unheard[slot].is_none() {
            steps.mishap(LostCommit, r, "will commit unheard, or not", |s| {
                s.unheard[slot] = Some(r);
                gives_up(s);
            });
        }
    }

    /// What the server and time do.
    pub(super) fn surroundings(&self, steps: &mut Steps<'_, State>) {
        for slot in [Key::K, Key::L] {
            if let Some(r) = steps.state.unheard[slot] {
                steps.duty(r, "is committed late", |s| {
                    s.unheard[slot] = None;
                    self.commit(s, r);
                });
                steps.duty(r, "is rolled back late", |s| {
                    s.unheard[slot] = None;
                    Self::unlock(s, slot, r);
                });
            }
            if let Some(record) = steps.state.records[slot] {
                if !record.has_expired {
                    steps.mishap(Expiry, slot, "expires", |s| {
                        let has_expired = true;
                        s.records[slot] = Some(Record {
                            has_expired,
                            ..record
                        });
                        (s.effects[slot], s.given[slot]) = (0, None);
                    });
                }
                if record.has_expired || !self.has(Rule::SweepsExpired) {
                    steps.choice(slot, "is swept", |s| s.records[slot] = None);
                }
            }
        }
    }

    fn look(&self, state: &mut State, r: Message) {
        let record = state.records[self.slot(r)];
        let Some(Record { by, .. }) = record.filter(|record| !record.has_expired) else {
            state.requests[r].stage = Stage::Looked;
            return;
        };
        if self.has(Rule::FingerprintIsChecked) && self.body(by) != self.body(r) {
            state.requests[r].stage = Stage::Mismatch;
            return;
        }
        state.replayed = true;
        self.answer(state, r, by);
    }

    fn complete(&self, state: &mut State, r: Message) {
        let slot = self.slot(r);
        let in_the_way = state.records[slot]
            .is_some_and(|record| !record.has_expired || !self.has(Rule::ReplacesExpired));
        if !in_the_way || !self.has(Rule::UniqueKeyDecides) {
            state.requests[r].stage = Stage::Completed;
            return;
        }
        state.lost_at_the_key = true;
        if !self.has(Rule::LoserRollsBack) {
            self.commit_effect(state, r);
        }
        self.roll_back(state, r, true);
    }

    fn commit(&self, state: &mut State, r: Message) {
        let slot = self.slot(r);
        let has_expired = false;
        state.records[slot] = Some(Record { by: r, has_expired });
        if self.has(Rule::RecordWithEffect) {
            self.commit_effect(state, r);
        }
        Self::unlock(state, slot, r);
    }

    fn commit_effect(&self, state: &mut State, r: Message) {
        let effects = &mut state.effects[self.slot(r)];
        *effects = (*effects + 1).min(2);
        state.made.insert(r);
    }

    /// Whether its process lives makes a difference to a lock of its session only.
    fn roll_back(&self, state: &mut State, r: Message, lives: bool) {
        let slot = self.slot(r);
        if lives || self.has(Rule::TransactionLock) {
            Self::unlock(state, slot, r);
        } else if state.locks[slot] == Lock::By(r) {
            state.locks[slot] = Lock::Leaked;
        }
        state.requests[r].stage = Stage::Waiting;
    }

    fn unlock(state: &mut State, slot: Key, r: Message) {
        if state.locks[slot] == Lock::By(r) {
            state.locks[slot] = Lock::Free;
        }
    }

    fn answer(&self, state: &mut State, r: Message, by: Message) {
        let given = &mut state.given[self.slot(r)];
        state.another_answer |= given.is_some_and(|other| other != by);
        *given = Some(by);
        state.phantom |= !state.made.contains(by);
        (state.requests[r].stage, state.requests[r].answer) = (Stage::Answered, Some(by));
    }
}
