//! What can happen, and when.

use crate::{
    message::{Key, Message},
    name::Name,
};

use super::{
    FirstForm,
    rule::Rule,
    state::{At, Owner, Relay, Stage, State},
};

/// One step of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// A writer locks the row of its aggregate.
    LockRow(Message),
    /// A writer enqueues: its position is drawn.
    Enqueue(Message),
    Commit(Message),
    Rollback(Message),
    /// A relay says that it lives, and hears what it owns.
    Lease(Name),
    /// Wrongly, a statement of its own: which keys are stopped.
    ReadStoppedKeys(Name),
    /// A relay reads rows of the log.
    Fetch(Name),
    /// The same, and those of stopped keys, whose next attempt is due.
    FetchDue(Name),
    /// The next row is sent and acknowledged.
    Acknowledged(Name),
    /// The next row is sent and refused for good.
    Refused(Name),
    /// The next row is sent and nobody knows what became of it.
    Unanswered(Name, Fate),
    /// A message that was sent long ago arrives.
    Arrives(Message),
    /// The transaction that records begins: it checks the fence.
    CheckFence(Name),
    /// It commits.
    Record(Name),
    /// It commits, and the relay does not hear of it.
    RecordUnanswered(Name),
    /// Wrongly, a transaction of its own: what was refused goes to the side table.
    MoveAside(Name),
    /// A relay gives its shard up.
    Release(Name),
    /// The owner's lease ends.
    LeaseEnds,
    Crash(Name),
    /// A relay's process is stopped for ever within the transaction that records.
    Freeze(Name),
    /// The server ends the transaction of a stopped process.
    ServerEnds(Name),
    /// The database's server crashes and comes back with what is on disk.
    ServerCrash,
}

/// What became of a message whose answer was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Stored,
    NotStored,
    /// It is still on its way.
    StoredLater,
}

impl FirstForm {
    pub(super) fn steps_of_writers(&self, state: &State, actions: &mut Vec<Action>) {
        let late_lock = !self.has(Rule::DrawUnderLock);
        let messages = self.bounds.messages;
        for (at, &message) in messages.iter().enumerate() {
            match state.writers[message].stage {
                // Writers of one key are alike: they begin in the order of their numbers.
                Stage::NotBegun if self.has_begun(state, &messages[..at], message.key()) => {
                    if self.bounds.row_locks && !late_lock {
                        if !self.is_locked(state, message.key()) {
                            actions.push(Action::LockRow(message));
                        }
                    } else {
                        actions.push(Action::Enqueue(message));
                    }
                }
                Stage::Locked => actions.push(Action::Enqueue(message)),
                Stage::Drawn if self.bounds.row_locks && late_lock => {
                    if !self.is_locked(state, message.key()) {
                        actions.push(Action::LockRow(message));
                    }
                }
                Stage::Drawn | Stage::LockedLate => {
                    actions.push(Action::Commit(message));
                    if state.happened.rollbacks < self.bounds.mishaps.rollbacks {
                        actions.push(Action::Rollback(message));
                    }
                }
                Stage::NotBegun | Stage::Committed | Stage::RolledBack => {}
            }
        }
    }

    fn has_begun(&self, state: &State, earlier: &[Message], key: Key) -> bool {
        // Where rows are locked, who comes first is what it is about.
        self.bounds.row_locks
            || earlier
                .iter()
                .filter(|m| m.key() == key)
                .all(|m| state.writers[*m].stage != Stage::NotBegun)
    }

    fn is_locked(&self, state: &State, key: Key) -> bool {
        let late_lock = !self.has(Rule::DrawUnderLock);
        self.bounds
            .messages
            .iter()
            .filter(|m| m.key() == key)
            .any(|m| match state.writers[*m].stage {
                Stage::Locked | Stage::LockedLate => true,
                Stage::Drawn => !late_lock,
                Stage::NotBegun | Stage::Committed | Stage::RolledBack => false,
            })
    }

    pub(super) fn steps_of_relays(&self, state: &State, actions: &mut Vec<Action>) {
        for name in Name::BOTH {
            let relay = &state.relays[name];
            match relay.at {
                At::Idle => {
                    if self.lease_changes_something(state, name) {
                        actions.push(Action::Lease(name));
                    }
                    if relay.fence > 0 {
                        if self.has(Rule::OneSnapshot) {
                            self.fetches(state, name, actions);
                        } else {
                            actions.push(Action::ReadStoppedKeys(name));
                        }
                    }
                }
                At::Peeked => self.fetches(state, name, actions),
                At::Sending if relay.round.rows.is_empty() => {
                    actions.push(Action::CheckFence(name));
                }
                At::Sending => self.answers(state, name, actions),
                At::Recording => {
                    actions.push(Action::Record(name));
                    if state.happened.lost_commits < self.bounds.mishaps.lost_commits {
                        actions.push(Action::RecordUnanswered(name));
                    }
                }
                At::Moving => actions.push(Action::MoveAside(name)),
                At::Frozen if self.has(Rule::ServerEndsIdle) => {
                    actions.push(Action::ServerEnds(name));
                }
                At::Frozen | At::FrozenAndEnded => {}
            }
        }
        actions.extend(state.broker.in_flight.iter().map(Action::Arrives));
    }

    fn fetches(&self, state: &State, name: Name, actions: &mut Vec<Action>) {
        if !self.log_rows(state, name).is_empty() {
            actions.push(Action::Fetch(name));
        }
        if !state.database.held.is_empty() {
            actions.push(Action::FetchDue(name));
        }
    }

    fn answers(&self, state: &State, name: Name, actions: &mut Vec<Action>) {
        actions.push(Action::Acknowledged(name));
        let (happened, most) = (&state.happened, &self.bounds.mishaps);
        if happened.refusals < most.refusals {
            actions.push(Action::Refused(name));
        }
        if happened.lost_answers < most.lost_answers {
            for fate in [Fate::Stored, Fate::NotStored, Fate::StoredLater] {
                actions.push(Action::Unanswered(name, fate));
            }
        }
    }

    /// What goes wrong with processes.
    pub(super) fn mishaps(&self, state: &State, actions: &mut Vec<Action>) {
        let (happened, most) = (&state.happened, &self.bounds.mishaps);
        for name in Name::BOTH {
            let Relay { fence, at, .. } = state.relays[name];
            let is_free = fence > 0 && !matches!(at, At::Frozen | At::FrozenAndEnded);
            if is_free && happened.crashes < most.crashes {
                actions.push(Action::Crash(name));
            }
            if at == At::Recording && happened.freezes < most.freezes {
                actions.push(Action::Freeze(name));
            }
            let between = at == At::Idle || !self.has(Rule::ReleaseBetweenRounds);
            if is_free
                && between
                && happened.releases < most.releases
                && matches!(state.database.owner, Owner::Living(n) | Owner::Late(n) if n == name)
                && !self.shard_is_locked(state, name)
            {
                actions.push(Action::Release(name));
            }
        }
        if happened.stalls < most.stalls && matches!(state.database.owner, Owner::Living(_)) {
            actions.push(Action::LeaseEnds);
        }
        if happened.server_crashes < most.server_crashes {
            actions.push(Action::ServerCrash);
        }
    }
}
