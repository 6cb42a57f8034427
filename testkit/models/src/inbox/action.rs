//! What can happen, and when.

use crate::{message::Key, name::Name, offsets::Offsets};

use super::{
    Inbox,
    rule::Rule,
    state::{Holder, State, Worker},
};

/// One step of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// A worker begins a transaction with what is next of a lane, or of all.
    Start(Name, Key),
    /// The next message of a transaction is admitted.
    Admit(Name, Key),
    /// The transaction waited for a mark for too long.
    LockTimeout(Name, Key),
    /// A handler fails.
    Fail(Name, Key),
    /// Wrongly: one half, mark or effect, is committed.
    CommitHalf(Name, Key),
    Commit(Name, Key),
    /// The answer to a commit is lost.
    CommitUnanswered(Name, Key),
    /// A transaction that was lost sight of turns out to be committed.
    LostCommits,
    LostRollsBack,
    CommitOffset(Name),
    /// The broker gives the partition to this one; the other does not know.
    Rebalance(Name),
    Crash(Name),
    /// A worker's process is stopped for ever.
    Freeze(Name),
    /// The server ends the transactions of a stopped process.
    ServerEnds(Name),
    /// A mark is forgotten.
    Forget(usize),
}

const LANES: [Key; 2] = [Key::K, Key::L];

impl Inbox {
    pub(super) fn steps_of_workers(&self, state: &State, actions: &mut Vec<Action>) {
        for name in Name::BOTH {
            let worker = &state.workers[name];
            if worker.is_frozen {
                let holds = worker.flights.0.iter().any(|flight| flight.is_open());
                if holds && self.bounds.server_ends && self.has(Rule::ServerEndsIdle) {
                    actions.push(Action::ServerEnds(name));
                }
                continue;
            }
            if !worker.is_at_it {
                continue;
            }
            for lane in LANES {
                self.steps_of_lane(state, name, lane, actions);
            }
            let committable = self.committable(worker);
            let Holder(holder) = state.holder;
            let is_taken = if self.has(Rule::OffsetsOnlyForward) {
                let may_commit = holder == name || self.bounds.former_commits;
                may_commit && committable > state.offset
            } else {
                committable != state.offset
            };
            if is_taken {
                actions.push(Action::CommitOffset(name));
            }
        }
    }

    fn steps_of_lane(&self, state: &State, name: Name, lane: Key, actions: &mut Vec<Action>) {
        let flight = state.workers[name].flights.of(lane);
        if !flight.is_open() {
            if self.next_of(state, name, lane) != Offsets::NONE {
                actions.push(Action::Start(name, lane));
            }
        } else if flight.is_admitted() {
            self.steps_of_admitted(state, name, lane, actions);
        } else if self.may_admit(state, name, lane) {
            actions.push(Action::Admit(name, lane));
        } else if flight.members.len() > 1 && self.has(Rule::LockTimeout) {
            actions.push(Action::LockTimeout(name, lane));
        }
    }

    fn steps_of_admitted(&self, state: &State, name: Name, lane: Key, actions: &mut Vec<Action>) {
        let flight = state.workers[name].flights.of(lane);
        let is_poison = |offset: u8| Some(self.message(offset)) == self.bounds.poison;
        if flight.fresh.iter().any(is_poison) {
            actions.push(Action::Fail(name, lane));
            return;
        }
        let in_one = self.has(Rule::EffectWithMark) && self.has(Rule::MarkWithEffect);
        if in_one || flight.is_half_done || flight.fresh == Offsets::NONE {
            actions.push(Action::Commit(name, lane));
        } else {
            actions.push(Action::CommitHalf(name, lane));
        }
        let (happened, most) = (&state.happened, &self.bounds.mishaps);
        if happened.lost_commits < most.lost_commits && !state.lost.is_open() && in_one {
            actions.push(Action::CommitUnanswered(name, lane));
        }
        let has_effects = flight.fresh != Offsets::NONE && !flight.is_half_done;
        if happened.failures < most.failures && has_effects {
            actions.push(Action::Fail(name, lane));
        }
    }

    /// What a worker starts next: in the order of offsets, and of each key one at a time. Batches take the first lane's place,
    /// and the second's while the first is taken.
    pub(super) fn next_of(&self, state: &State, name: Name, lane: Key) -> Offsets {
        let worker = &state.workers[name];
        let ready = |key: Key| self.ready(worker, key);
        let is_second = lane == Key::L && worker.flights.of(Key::K).is_open();
        if !self.bounds.batches {
            let beside = is_second && !self.has(Rule::OneFlightPerKey);
            let head = ready(if beside { Key::K } else { lane }).iter().next();
            return head.map_or(Offsets::NONE, Offsets::one);
        }
        if lane == Key::L && !is_second {
            return Offsets::NONE;
        }
        let heads = LANES.map(|key| ready(key).iter().next());
        let mut alone = heads.into_iter().flatten();
        if let Some(head) = alone.find(|offset| worker.alone.contains(*offset)) {
            return Offsets::one(head);
        }
        // A batch ends where one begins that runs alone.
        let batch = LANES.map(|key| {
            let before = ready(key);
            let barrier = before.iter().find(|offset| worker.alone.contains(*offset));
            before.up_to(barrier)
        });
        batch[0].and(batch[1])
    }

    /// Messages of a lane that may start, as far as the span goes.
    fn ready(&self, worker: &Worker, key: Key) -> Offsets {
        let lowest = self.lowest_unfinished(worker);
        let end = if self.has(Rule::SpanIsBounded) {
            self.end().min(lowest + self.bounds.span)
        } else {
            self.end()
        };
        let in_flight = worker
            .flights
            .0
            .iter()
            .fold(Offsets::NONE, |all, flight| all.and(flight.members));
        let of_key = |offset: &u8| self.message(*offset).key() == key;
        let is_stopped = if self.has(Rule::StopsItsKeyOnly) {
            worker.stopped.iter().any(|o| self.message(o).key() == key)
        } else {
            worker.stopped != Offsets::NONE
        };
        let is_flying = in_flight.iter().any(|offset| of_key(&offset));
        if (is_flying && self.has(Rule::OneFlightPerKey))
            || (is_stopped && self.has(Rule::StoppedKeyWaits))
        {
            return Offsets::NONE;
        }
        let taken = worker.finished.and(in_flight).and(worker.stopped);
        let free = (worker.start..end)
            .filter(|o| !taken.contains(*o))
            .filter(of_key);
        let free = free.fold(Offsets::NONE, |all, offset| all.and(Offsets::one(offset)));
        // Wrongly: what failed lets the others of its key go first.
        let others = free.without(worker.behind);
        if others == Offsets::NONE {
            free
        } else {
            others
        }
    }

    pub(super) fn steps_of_surroundings(&self, state: &State, actions: &mut Vec<Action>) {
        let (happened, most) = (&state.happened, &self.bounds.mishaps);
        if state.lost.is_open() {
            actions.push(Action::LostCommits);
            actions.push(Action::LostRollsBack);
        }
        let Holder(holder) = state.holder;
        let heir = holder.other();
        // The broker notices that a stopped process does not answer.
        let has_to = state.workers[holder].is_frozen && !state.workers[heir].is_frozen;
        let might = happened.rebalances < most.rebalances && !state.workers[heir].is_frozen;
        if has_to || might {
            actions.push(Action::Rebalance(heir));
        }
        for name in Name::BOTH {
            let worker = &state.workers[name];
            if worker.is_frozen || !worker.is_at_it {
                continue;
            }
            if happened.crashes < most.crashes {
                actions.push(Action::Crash(name));
            }
            let is_in_transaction = worker.flights.0.iter().any(|flight| flight.is_open());
            if happened.freezes < most.freezes && is_in_transaction {
                actions.push(Action::Freeze(name));
            }
        }
        if self.bounds.retention {
            let forgettable = (0..state.marks.len()).filter(|id| self.may_forget(state, *id));
            actions.extend(forgettable.map(Action::Forget));
        }
    }
}
