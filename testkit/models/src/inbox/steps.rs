//! What can happen: workers and their transactions, the broker, retention.

use crate::prelude::*;

use super::{Flight, Model, Rule, State, Whose, Worker};

impl Model {
    pub(super) fn workers(&self, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        for name in Name::BOTH {
            let worker = &state.workers[name];
            let holds = worker.has_transaction();
            if worker.is_frozen {
                let ends = holds && !self.form.impatient && self.has(Rule::ServerEndsIdle);
                steps.duty_if(ends, name, "is ended by the server", |s| {
                    s.workers[name].flights = EnumMap::default();
                });
                continue;
            }
            if !worker.is_assigned {
                continue;
            }
            for lane in [Key::K, Key::L] {
                self.lane(name, lane, steps);
            }
            let lowest = self.has(Rule::LowestUnfinished);
            let committable = worker.finished.committable(lowest, self.end());
            let may_commit = state.holder == name || self.form.former_commits;
            let is_forward = may_commit && committable > state.offset;
            let is_other = committable != state.offset;
            let is_taken = self.either(Rule::OffsetsOnlyForward, is_forward, is_other);
            steps.duty_if(is_taken, name, "commits its offset", |s| {
                s.offset_went_back |= committable < s.offset;
                s.offset = committable;
            });
            steps.mishap(Crash, name, "crashes", |s| {
                self.outlive(s, name);
                s.workers[name] = Worker::default();
                if s.holder == name {
                    s.assign(name);
                }
            });
            if holds {
                steps.mishap(Freeze, name, "is frozen in its transaction", |s| {
                    s.workers[name].is_frozen = true;
                });
            }
        }
    }

    fn lane(&self, name: Name, lane: Key, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        let worker = &state.workers[name];
        let flight = worker.flights[lane];
        let who = (name, lane);
        if !flight.is_open() {
            let members = self.next_of(worker, lane);
            let is_due = members != Offsets::NONE;
            steps.duty_if(is_due, who, "starts", |s| {
                let worker = &mut s.workers[name];
                worker.flights[lane].members = members;
                if !self.has(Rule::FinishedWhenCommitted) {
                    worker.finished = worker.finished.and(members);
                }
            });
        } else if flight.is_admitted() {
            self.admitted(name, lane, steps);
        } else if self.may_admit(state, name, lane) {
            steps.duty(who, "admits the next", |s| self.admit(s, name, lane));
        } else if flight.members.len() > 1 && self.has(Rule::LockTimeout) {
            // The members of the batch run alone from now on.
            steps.duty(who, "waits too long", |s| {
                let worker = &mut s.workers[name];
                worker.alone = worker.alone.and(flight.members);
                worker.flights[lane] = Flight::default();
            });
        }
    }

    fn admitted(&self, name: Name, lane: Key, steps: &mut Steps<'_, State>) {
        let flight = steps.state.workers[name].flights[lane];
        let who = (name, lane);
        if flight.fresh.iter().any(|offset| self.is_poison(offset)) {
            steps.duty(who, "fails", |s| self.fail(s, name, lane));
            return;
        }
        let in_one = self.has(Rule::EffectWithRecord) && self.has(Rule::RecordWithEffect);
        let has_effects = flight.fresh != Offsets::NONE && !flight.is_half_done;
        if in_one || !has_effects {
            steps.duty(who, "commits", |s| {
                self.commit(s, flight);
                s.finish(name, lane);
            });
        } else {
            steps.duty(who, "commits one half", |s| {
                let effects_first = self.has(Rule::EffectWithRecord);
                self.write(s, flight, !effects_first, effects_first);
                s.workers[name].flights[lane].is_half_done = true;
            });
        }
        if in_one && !steps.state.lost.is_open() {
            steps.mishap(LostCommit, who, "commits, and is not answered", |s| {
                s.lost = flight;
                if self.has(Rule::UnknownIsTriedAgain) {
                    s.workers[name].flights[lane] = Flight::default();
                } else {
                    s.finish(name, lane);
                }
            });
        }
        if has_effects {
            steps.mishap(Failure, who, "fails", |s| self.fail(s, name, lane));
        }
    }

    /// What a worker starts next: in the order of offsets, and one at a time of each key. Batches
    /// take the first lane's place, and the second's while the first is taken.
    fn next_of(&self, worker: &Worker, lane: Key) -> Offsets {
        let first = |of: Offsets| of.iter().take(1).collect();
        let is_second = lane == Key::L && worker.flights[Key::K].is_open();
        if !self.form.batches {
            let beside = is_second && !self.has(Rule::OneFlightPerKey);
            return first(self.ready(worker, if beside { Key::K } else { lane }));
        }
        if lane == Key::L && !is_second {
            return Offsets::NONE;
        }
        let ready = [Key::K, Key::L].map(|key| self.ready(worker, key));
        for ready in ready {
            let head: Offsets = first(ready);
            if head.iter().any(|head| worker.alone.contains(head)) {
                return head;
            }
        }
        // A batch ends where one begins that runs alone.
        let batch = ready.into_iter().flat_map(|ready| {
            let ready = ready.iter();
            ready.take_while(|offset| !worker.alone.contains(*offset))
        });
        batch.collect()
    }

    pub(super) const fn window(&self) -> u8 {
        let window = self.form.window;
        if window == 0 { 8 } else { window }
    }

    /// Messages of a lane that may start, as far as the in-flight window goes.
    fn ready(&self, worker: &Worker, key: Key) -> Offsets {
        let mut end = self.end();
        if self.has(Rule::WindowIsBounded) {
            end = end.min(worker.finished.lowest_unfinished(end) + self.window());
        }
        let all = worker.flights.values().map(|flight| flight.members);
        let in_flight = all.fold(Offsets::NONE, Offsets::and);
        let of_key = |offset: u8| self.message(offset).key() == key;
        let is_flying = in_flight.iter().any(of_key);
        let is_own = |offset| of_key(offset) || !self.has(Rule::BlocksItsKeyOnly);
        let is_blocked = worker.blocking.iter().any(is_own);
        if (is_flying && self.has(Rule::OneFlightPerKey))
            || (is_blocked && self.has(Rule::BlockedKeyWaits))
        {
            return Offsets::NONE;
        }
        let taken = worker.finished.and(in_flight).and(worker.blocking);
        let of_lane: Offsets = (worker.start..end).filter(|o| of_key(*o)).collect();
        let free = of_lane.without(taken);
        // Wrongly: a message that failed lets the others of its key go first.
        let others = free.without(worker.behind);
        if others.is_empty() { free } else { others }
    }

    pub(super) fn is_poison(&self, offset: u8) -> bool {
        self.form.poison == Some(self.message(offset))
    }

    pub(super) fn surroundings(&self, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        if state.lost.is_open() {
            steps.duty("a lost transaction", "is committed", |s| {
                self.commit(s, state.lost);
                s.lost = Flight::default();
            });
            let rolls_back = |s: &mut State| s.lost = Flight::default();
            steps.duty("a lost transaction", "rolls back", rolls_back);
        }
        let heir = state.holder.other();
        let gives = |s: &mut State| {
            s.holder = heir;
            self.outlive(s, heir);
            s.assign(heir);
        };
        if state.workers[heir].is_frozen {
        } else if state.workers[state.holder].is_frozen {
            // The broker notices that a stopped process does not answer.
            steps.duty(heir, "is given the partition", gives);
        } else {
            steps.mishap(Rebalance, heir, "is given the partition", gives);
        }
        for identity in 0..state.records.len() {
            let may_prune = self.form.prunes && self.may_prune(state, identity);
            steps.duty_if(may_prune, identity, "is pruned", |s| {
                s.records[identity].exists = false;
            });
        }
    }

    /// A transaction that is about to commit when its worker goes may still do so.
    fn outlive(&self, state: &mut State, name: Name) {
        let is_committing = |flight: &&Flight| {
            let is_poisoned = flight.fresh.iter().any(|offset| self.is_poison(offset));
            flight.is_admitted() && !flight.is_half_done && !is_poisoned
        };
        if !state.lost.is_open()
            && let Some(flight) = state.workers[name].flights.values().find(is_committing)
        {
            state.lost = *flight;
        }
    }

    /// Whether retention may prune a record: it is below the committed offset, and its time is over.
    fn may_prune(&self, state: &State, identity: usize) -> bool {
        let record = state.records[identity];
        let is_it = |offset: u8| self.identity(offset) == identity;
        let is_committed = record.highest < state.offset || !self.has(Rule::KeepsUncommitted);
        // No redelivery comes later than the retention: so its time ends behind the last one.
        let is_ahead = (0..self.end()).any(|o| is_it(o) && !state.seen.contains(o));
        let late = &state.workers[state.holder.other()];
        let mut unfinished = (late.start..self.end()).filter(|o| !late.finished.contains(*o));
        let is_late = late.is_assigned && unfinished.any(is_it);
        let is_over = !is_late || !self.has(Rule::RetentionOutlastsTheLate);
        let is_lost = state.lost.members.iter().any(is_it);
        record.exists && is_committed && !is_ahead && is_over && !is_lost
    }

    /// What a message is known by.
    fn identity(&self, offset: u8) -> usize {
        let id = self.message(offset) as u8;
        usize::from(self.either(Rule::IdentityOfMessage, id, offset))
    }

    fn contains(&self, offsets: Offsets, identity: usize) -> bool {
        let mut offsets = offsets.iter();
        offsets.any(|offset| self.identity(offset) == identity)
    }

    /// The next message of a transaction that is to be admitted.
    fn next_to_admit(&self, flight: Flight, name: Name) -> Option<u8> {
        let mut left = flight.members.without(flight.admitted).iter();
        if name == Name::A && !self.has(Rule::RecordsInOrder) {
            left.next_back()
        } else {
            left.next()
        }
    }

    /// Whose open transaction has written the record that this one is to write next.
    pub(super) fn waits_for(&self, state: &State, name: Name, lane: Key) -> Option<Whose> {
        let own = Whose::Of(name, lane);
        let next = self.next_to_admit(state.workers[name].flights[lane], name)?;
        let mut others = state.flights().filter(|(whose, _)| *whose != own);
        let holder = others.find(|(_, flight)| {
            !flight.is_half_done && self.contains(flight.fresh, self.identity(next))
        });
        holder.map(|(whose, _)| whose)
    }

    fn may_admit(&self, state: &State, name: Name, lane: Key) -> bool {
        let waits = self.has(Rule::WaitsForOpenRecord) && self.has(Rule::UniqueRecord);
        !waits || self.waits_for(state, name, lane).is_none()
    }

    fn admit(&self, state: &mut State, name: Name, lane: Key) {
        let is_open = self.has(Rule::UniqueRecord) && self.waits_for(state, name, lane).is_some();
        let flight = &mut state.workers[name].flights[lane];
        if let Some(offset) = self.next_to_admit(*flight, name) {
            let identity = self.identity(offset);
            let is_own = self.contains(flight.fresh, identity);
            flight.admitted.insert(offset);
            if !state.records[identity].exists && !is_own && !is_open {
                flight.fresh.insert(offset);
            }
        }
    }

    /// What is left of records and effects, with everything that the transaction has noted.
    fn commit(&self, state: &mut State, flight: Flight) {
        let (all, effects_first) = (!flight.is_half_done, self.has(Rule::EffectWithRecord));
        self.write(state, flight, all || effects_first, all || !effects_first);
        state.has_duplicate |= flight.fresh != flight.admitted;
        state.seen = state.seen.and(flight.admitted);
    }

    fn write(&self, state: &mut State, flight: Flight, records: bool, effects: bool) {
        for offset in flight.admitted.iter().filter(|_| records) {
            let record = &mut state.records[self.identity(offset)];
            if flight.fresh.contains(offset) {
                record.exists = true;
                record.highest = offset;
            } else if self.has(Rule::RedeliveriesAreNoted) {
                record.highest = record.highest.max(offset);
            }
        }
        for offset in flight.fresh.iter().filter(|_| effects) {
            let earlier = (0..offset).map(|o| self.message(o));
            state.effects.add(self.message(offset), earlier.collect());
        }
    }

    /// The members of a transaction that failed go back to their lanes.
    fn fail(&self, state: &mut State, name: Name, lane: Key) {
        let worker = &mut state.workers[name];
        let Flight { members, fresh, .. } = worker.flights[lane];
        worker.flights[lane] = Flight::default();
        let poison = fresh.iter().find(|offset| self.is_poison(*offset));
        if let Some(culprit) = poison.or_else(|| fresh.iter().next()) {
            if members.len() > 1 {
                worker.alone.insert(culprit);
            } else if poison.is_some() {
                worker.blocking.insert(culprit);
            }
            if !self.has(Rule::FailedGoesFirst) {
                worker.behind.insert(culprit);
            }
        }
    }
}

impl State {
    /// A worker is given the partition from the committed offset on, and forgets its work.
    fn assign(&mut self, name: Name) {
        self.workers[name] = Worker {
            is_assigned: true,
            start: self.offset,
            finished: Offsets::below(self.offset),
            ..Worker::default()
        };
    }

    /// The worker hears that its transaction committed.
    fn finish(&mut self, name: Name, lane: Key) {
        let worker = &mut self.workers[name];
        let Flight { members, fresh, .. } = worker.flights[lane];
        self.zombie_was_first |= self.holder != name && !fresh.is_empty();
        worker.finished = worker.finished.and(members);
        worker.behind = worker.behind.without(members);
        worker.flights[lane] = Flight::default();
    }
}
