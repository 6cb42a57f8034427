//! Who owns the shard.

use crate::name::Name;

use super::{
    FirstForm,
    rule::Rule,
    state::{At, Owner, Relay, Stage, State},
};

/// Where a relay with a wrong clock stops taking the shard over.
const HIGHEST_FENCE: u8 = 3;

impl FirstForm {
    /// Whether another relay's transaction holds a share lock on the shard's row.
    pub(super) fn shard_is_locked(&self, state: &State, name: Name) -> bool {
        self.has(Rule::ShareLock)
            && self.has(Rule::FenceIsChecked)
            && matches!(state.relays[name.other()].at, At::Recording | At::Frozen)
    }

    fn may_take_over(&self, state: &State, name: Name) -> bool {
        let is_free = match state.database.owner {
            Owner::Nobody | Owner::Dead => true,
            Owner::Late(owner) => owner != name,
            Owner::Living(owner) => {
                owner != name
                    && !self.has(Rule::DatabaseClock)
                    && state.database.fence < HIGHEST_FENCE
            }
        };
        is_free && !self.shard_is_locked(state, name)
    }

    pub(super) fn lease_changes_something(&self, state: &State, name: Name) -> bool {
        let fence = state.relays[name].fence;
        self.may_take_over(state, name)
            || match state.database.owner {
                Owner::Late(owner) => owner == name,
                Owner::Living(owner) if owner == name => fence != state.database.fence,
                Owner::Living(_) | Owner::Nobody | Owner::Dead => fence > 0,
            }
    }

    /// One transaction: whoever calls lives, those whose lease has ended are forgotten, what is free is taken.
    pub(super) fn lease(&self, state: &mut State, name: Name) {
        if self.may_take_over(state, name) {
            let database = &mut state.database;
            database.owner = Owner::Living(name);
            if self.has(Rule::FenceRises) || database.fence == 0 {
                database.fence += 1;
            }
        } else if state.database.owner == Owner::Late(name) {
            state.database.owner = Owner::Living(name);
        }
        if self.has(Rule::LeaseOnDisk) {
            state.flush();
        }
        let owns = state.database.owner == Owner::Living(name);
        state.relays[name].fence = if owns { state.database.fence } else { 0 };
    }

    pub(super) fn release(state: &mut State, name: Name) {
        state.happened.releases += 1;
        state.database.owner = Owner::Nobody;
        state.flush();
        if state.relays[name].at == At::Idle {
            state.relays[name].fence = 0;
        }
    }

    pub(super) fn crash(state: &mut State, name: Name) {
        state.happened.crashes += 1;
        state.relays[name] = Relay::default();
        if let Owner::Living(owner) | Owner::Late(owner) = state.database.owner
            && owner == name
        {
            state.database.owner = Owner::Dead;
            // The disk knows the owner by a name that no living process has.
            state.disk.owner = match state.disk.owner {
                Owner::Living(owner) | Owner::Late(owner) if owner == name => Owner::Dead,
                owner => owner,
            };
        }
    }

    pub(super) fn crash_server(&self, state: &mut State) {
        state.happened.server_crashes += 1;
        state.database = state.disk;
        for &message in self.bounds.messages {
            let writer = &mut state.writers[message];
            if matches!(
                writer.stage,
                Stage::Locked | Stage::Drawn | Stage::LockedLate
            ) {
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
