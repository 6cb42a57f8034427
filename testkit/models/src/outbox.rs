//! Outcomes of messages, and what both outbox stores share: writers, positions, the broker.

use crate::prelude::*;

/// Which messages had their outcome, and whether more than once or out of order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Outcomes {
    /// How often; 2 = more than once.
    times: Each<u8>,
    /// The first outcome of a message came before that of one that precedes it.
    pub(crate) out_of_order: bool,
}

impl Outcomes {
    pub(crate) fn has(self, message: Message) -> bool {
        self.times[message] > 0
    }

    pub(crate) fn repeats(self, message: Message) -> bool {
        self.times[message] > 1
    }

    /// Those of a set without an outcome.
    pub(crate) fn missing(self, messages: Messages) -> Messages {
        messages.iter().filter(|m| !self.has(*m)).collect()
    }

    pub(crate) fn all(self) -> Messages {
        Messages::all().iter().filter(|m| self.has(*m)).collect()
    }

    /// One more outcome of a message; those of its key that precede it should have had theirs.
    pub(crate) fn add(&mut self, message: Message, preceding: Messages) {
        let missing = self.missing(preceding.of_key(message.key()));
        self.out_of_order |= !self.has(message) && missing.iter().any(|m| m != message);
        self.times[message] = (self.times[message] + 1).min(2);
    }
}

/// A transaction that writes one message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Writer {
    pub(crate) stage: Stage,
    /// 0 = none yet.
    pub(crate) position: u8,
    /// Messages of its key that had been committed when its position was drawn.
    behind: Messages,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Stage {
    #[default]
    NotBegun,
    /// Has locked the row of its aggregate, or has one of transaction id and position.
    Begun,
    /// The row of the outbox is written.
    Written,
    /// Wrongly: the row of the aggregate was locked afterwards.
    LockedLate,
    Committed,
    RolledBack,
}

/// Writers and what the broker has of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Outbox {
    pub(crate) writers: Each<Writer>,
    /// The last position that the sequence gave out.
    pub(crate) drawn: u8,
    /// What the broker has stored.
    pub(crate) broker: Outcomes,
    /// A message was stored whose transaction had not committed.
    pub(crate) invented: bool,
}

impl Outbox {
    pub(crate) fn stage(&self, message: Message) -> Stage {
        self.writers[message].stage
    }

    pub(crate) fn position(&self, message: Message) -> u8 {
        self.writers[message].position
    }

    pub(crate) fn committed(&self) -> Messages {
        let all = Messages::all().iter();
        all.filter(|m| self.stage(*m) == Stage::Committed).collect()
    }

    /// Whether everything committed is stored.
    pub(crate) fn is_out(&self) -> bool {
        self.broker.missing(self.committed()).is_empty()
    }

    /// Writers of one key are alike: they begin in the order of their numbers.
    pub(crate) fn have_begun(&self, preceding: Messages) -> bool {
        let mut preceding = preceding.iter();
        preceding.all(|m| self.stage(m) != Stage::NotBegun)
    }

    pub(crate) fn draw(&mut self, message: Message) {
        self.drawn += 1;
        let behind = self.committed().of_key(message.key());
        let writer = &mut self.writers[message];
        (writer.position, writer.behind) = (self.drawn, behind);
    }

    pub(crate) fn store(&mut self, message: Message) {
        let writer = &self.writers[message];
        self.invented |= writer.stage != Stage::Committed;
        self.broker.add(message, writer.behind);
    }

    /// Rows behind a position.
    pub(crate) fn above(&self, position: u8, rows: Messages) -> Messages {
        let rows = rows.iter();
        rows.filter(|m| self.position(*m) > position).collect()
    }

    /// Rows in the order of their positions.
    pub(crate) fn in_order(&self, rows: Messages) -> Queue {
        let mut rows: Vec<Message> = rows.iter().collect();
        rows.sort_by_key(|m| self.position(*m));
        rows.into_iter().collect()
    }
}
