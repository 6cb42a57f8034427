//! Marks and the stopped-key row, with their locks.

use crate::{
    message::{Each, Key, Message, Messages},
    name::Name,
};

/// Whose transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Actor {
    Worker(Name),
    Desk(Name),
    /// Its client has lost sight of it.
    Nobody,
}

impl Actor {
    const fn bit(self) -> u8 {
        match self {
            Self::Worker(name) => 1 << name as u8,
            Self::Desk(name) => 4 << name as u8,
            Self::Nobody => 16,
        }
    }
}

/// Those who hold a share lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Actors(u8);

impl Actors {
    pub(crate) const fn insert(&mut self, actor: Actor) {
        self.0 |= actor.bit();
    }

    const fn remove(&mut self, actor: Actor) {
        self.0 &= !actor.bit();
    }

    const fn contains(self, actor: Actor) -> bool {
        self.0 & actor.bit() != 0
    }

    const fn has_others_than(self, actor: Actor) -> bool {
        self.0 & !actor.bit() != 0
    }
}

/// What a mark says about its message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Kept {
    /// There is no mark.
    #[default]
    Nothing,
    Done,
    Parked,
    Discarded,
}

/// A mark, and what an open transaction makes of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Mark {
    pub(crate) kept: Kept,
    pub(crate) writer: Option<Actor>,
    pub(crate) pending: Kept,
}

/// The row of the one key that can be stopped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Row {
    pub(crate) exists: bool,
    /// Whether its followers may go on.
    pub(crate) is_draining: bool,
    pub(crate) inserting: Option<Actor>,
    pub(crate) deleting: Option<Actor>,
    /// Has it locked `FOR UPDATE`.
    pub(crate) exclusive: Option<Actor>,
    /// Has updated it.
    pub(crate) updating: Option<Actor>,
    /// What that update makes of `is_draining`.
    pub(crate) pending: Option<bool>,
    /// Have it locked `FOR KEY SHARE`.
    pub(crate) shared: Actors,
}

/// The tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Tables {
    pub(crate) marks: Each<Mark>,
    pub(crate) row: Row,
}

impl Row {
    fn is_free_for(holder: Option<Actor>, actor: Actor) -> bool {
        holder.is_none_or(|holder| holder == actor)
    }

    pub(crate) const fn can_share(&self) -> bool {
        self.exclusive.is_none() && self.deleting.is_none()
    }

    pub(crate) fn can_lock(&self, actor: Actor) -> bool {
        self.can_update(actor) && !self.shared.has_others_than(actor)
    }

    /// Share locks let an update pass.
    pub(crate) fn can_update(&self, actor: Actor) -> bool {
        self.deleting.is_none()
            && Self::is_free_for(self.exclusive, actor)
            && Self::is_free_for(self.updating, actor)
    }

    pub(crate) fn can_insert(&self, actor: Actor, updates: bool) -> bool {
        let may_update = !self.exists || self.can_update(actor);
        Self::is_free_for(self.inserting, actor)
            && self.deleting.is_none()
            && (!updates || may_update)
    }

    fn release(&mut self, actor: Actor) {
        for lock in [&mut self.inserting, &mut self.deleting, &mut self.exclusive] {
            lock.take_if(|holder| *holder == actor);
        }
        if self.updating.take_if(|holder| *holder == actor).is_some() {
            self.pending = None;
        }
        self.shared.remove(actor);
    }
}

impl Tables {
    pub(crate) fn can_write(&self, message: Message, actor: Actor) -> bool {
        Row::is_free_for(self.marks[message].writer, actor)
    }

    pub(crate) fn write(&mut self, message: Message, actor: Actor, kept: Kept) {
        self.marks[message].writer = Some(actor);
        self.marks[message].pending = kept;
    }

    /// Parked messages of the key, as committed.
    pub(crate) fn parked(&self) -> Messages {
        let is_parked = |m: &Message| self.marks[*m].kept == Kept::Parked && m.key() == Key::K;
        Messages::of(Message::ALL.into_iter().filter(is_parked))
    }

    /// Ends a transaction with all it wrote; answers whether that removed the row.
    pub(crate) fn commit(&mut self, actor: Actor) -> bool {
        for message in Message::ALL {
            let mark = &mut self.marks[message];
            if mark.writer == Some(actor) {
                mark.kept = mark.pending;
            }
        }
        let row = &mut self.row;
        if row.inserting == Some(actor) {
            row.exists = true;
            row.is_draining = false;
        }
        if row.updating == Some(actor)
            && let Some(is_draining) = row.pending
        {
            row.is_draining = is_draining;
        }
        let removed = row.deleting == Some(actor);
        if removed {
            row.exists = false;
            row.is_draining = false;
        }
        self.roll_back(actor);
        removed
    }

    pub(crate) fn roll_back(&mut self, actor: Actor) {
        for message in Message::ALL {
            if self.marks[message].writer == Some(actor) {
                self.marks[message].writer = None;
                self.marks[message].pending = Kept::Nothing;
            }
        }
        self.row.release(actor);
    }

    /// A client loses sight of its transaction.
    pub(crate) fn abandon(&mut self, actor: Actor) {
        for message in Message::ALL {
            let writer = &mut self.marks[message].writer;
            if *writer == Some(actor) {
                *writer = Some(Actor::Nobody);
            }
        }
        let row = &mut self.row;
        for holder in [&mut row.inserting, &mut row.updating] {
            if *holder == Some(actor) {
                *holder = Some(Actor::Nobody);
            }
        }
        if row.shared.contains(actor) {
            row.shared.remove(actor);
            row.shared.insert(Actor::Nobody);
        }
    }
}
