//! Records and the row of the blocked key, with their locks.

use crate::prelude::*;

/// Whose transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Enum)]
pub(crate) enum Actor {
    Worker(Name),
    Operator(Name),
    /// Its client has lost sight of it.
    Nobody,
}

/// What is known of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Kept {
    /// There is no processed record.
    #[default]
    Nothing,
    Done,
    /// It is a dead letter, or held behind one.
    Queued,
    Discarded,
}

/// What an open transaction makes of a row that it has locked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Pending<C> {
    pub(crate) writer: Option<Actor>,
    pub(crate) change: C,
}

/// A processed record with the body that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Record {
    pub(crate) kept: Kept,
    pub(crate) pending: Pending<Kept>,
}

/// The row of the one key that can be blocked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Row {
    pub(crate) exists: bool,
    /// Whether its held messages may go on.
    pub(crate) is_draining: bool,
    pub(crate) pending: Pending<Change>,
    /// Have it locked `FOR KEY SHARE`.
    pub(crate) shared: Set<Actor>,
}

/// What a transaction does to the row of the blocked key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Change {
    #[default]
    Nothing,
    Insert,
    Update,
    /// An update that makes it draining.
    Drain,
    /// It is locked `FOR UPDATE`.
    Lock,
    Delete,
}

/// The tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Tables {
    pub(crate) records: Each<Record>,
    pub(crate) row: Row,
}

impl<C: Copy + Default> Pending<C> {
    pub(crate) const fn of(actor: Actor, change: C) -> Self {
        let writer = Some(actor);
        Self { writer, change }
    }

    fn is_free_for(&self, actor: Actor) -> bool {
        self.writer.is_none_or(|writer| writer == actor)
    }

    /// Takes what one actor has written, or locked; it goes to another, or the lock is released.
    fn pass(&mut self, actor: Actor, heir: Option<Actor>) {
        if self.writer == Some(actor) {
            *self = heir.map_or_else(Self::default, |heir| Self::of(heir, self.change));
        }
    }
}

impl Row {
    pub(crate) const fn can_share(self) -> bool {
        !matches!(self.pending.change, Change::Lock | Change::Delete)
    }

    pub(crate) fn can_lock(self, actor: Actor) -> bool {
        self.can_update(actor) && self.shared.iter().all(|holder| holder == actor)
    }

    /// Share locks let an update pass. A row that is being inserted is not seen.
    pub(crate) fn can_update(self, actor: Actor) -> bool {
        match self.pending.change {
            Change::Delete => false,
            Change::Insert => true,
            _ => self.pending.is_free_for(actor),
        }
    }

    pub(crate) fn can_insert(self, actor: Actor, updates: bool) -> bool {
        let is_free = self.pending.is_free_for(actor);
        match self.pending.change {
            Change::Delete => false,
            Change::Insert => is_free,
            _ => is_free || !updates || !self.exists,
        }
    }
}

impl Tables {
    pub(crate) fn kept(&self, message: Message) -> Kept {
        self.records[message].kept
    }

    /// Whether a body is free, or locked by this one.
    pub(crate) fn can_write(&self, message: Message, actor: Actor) -> bool {
        self.records[message].pending.is_free_for(actor)
    }

    /// Records and bodies are in two tables: a lock on a body holds up no worker who finds a record.
    pub(crate) fn can_record(&self, message: Message, actor: Actor) -> bool {
        self.kept(message) != Kept::Nothing || self.can_write(message, actor)
    }

    pub(crate) fn write(&mut self, message: Message, actor: Actor, kept: Kept) {
        self.records[message].pending = Pending::of(actor, kept);
    }

    /// Changes the row, if there is one.
    pub(crate) const fn change(&mut self, actor: Actor, change: Change) {
        if self.row.exists {
            self.row.pending = Pending::of(actor, change);
        }
    }

    /// All messages of which this is committed.
    pub(crate) fn all(&self, kept: Kept) -> Messages {
        let all = Messages::all().iter();
        all.filter(|m| self.kept(*m) == kept).collect()
    }

    /// Queued messages of the key, as committed.
    pub(crate) fn queued(&self) -> Messages {
        self.all(Kept::Queued).of_key(Key::K)
    }

    /// Ends a transaction with everything that it wrote; answers whether that removed the row.
    pub(crate) fn commit(&mut self, actor: Actor) -> bool {
        for Record { kept, pending } in self.records.values_mut() {
            if pending.writer == Some(actor) {
                *kept = pending.change;
            }
        }
        let row = &mut self.row;
        let is_own = row.pending.writer == Some(actor);
        let change = row.pending.change;
        match change {
            Change::Insert if is_own => (row.exists, row.is_draining) = (true, false),
            Change::Delete if is_own => (row.exists, row.is_draining) = (false, false),
            Change::Drain if is_own => row.is_draining = true,
            _ => {}
        }
        self.roll_back(actor);
        is_own && change == Change::Delete
    }

    pub(crate) fn roll_back(&mut self, actor: Actor) {
        self.pass(actor, None);
    }

    /// A client loses sight of its transaction.
    pub(crate) fn abandon(&mut self, actor: Actor) {
        self.pass(actor, Some(Actor::Nobody));
    }

    /// All locks of one actor go to another, or are released.
    fn pass(&mut self, actor: Actor, heir: Option<Actor>) {
        for record in self.records.values_mut() {
            record.pending.pass(actor, heir);
        }
        let row = &mut self.row;
        row.pending.pass(actor, heir);
        if row.shared.contains(actor) {
            row.shared.remove(actor);
            row.shared = row.shared.and(heir.into_iter().collect());
        }
    }
}
