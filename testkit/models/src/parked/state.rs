//! Everything that there is at one moment.

use std::fmt;

use crate::{
    message::{Each, Message, Messages},
    name::{Name, Pair},
    offsets::Offsets,
};

use super::{
    bounds::Mishaps,
    tables::{Kept, Tables},
};

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    pub(crate) tables: Tables,
    /// What the group has committed.
    pub(crate) offset: u8,
    /// Whether `B` was given the partition.
    pub(crate) is_reassigned: bool,
    pub(crate) workers: Pair<Worker>,
    pub(crate) desks: Pair<Desk>,
    /// A transaction whose client has lost sight of it, and its effects.
    pub(crate) lost: Option<Messages>,
    /// How often the effect of each message was committed.
    pub(crate) effects: Each<u8>,
    pub(crate) happened: Mishaps,
    pub(crate) history: History,
}

/// What a worker's process knows and is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(crate) struct Worker {
    pub(crate) is_up: bool,
    /// Stopped for ever, in a transaction that the server has not ended.
    pub(crate) is_frozen: bool,
    /// The next offset.
    pub(crate) next: u8,
    /// Whether the other key's message is done, where keys go their own ways.
    pub(crate) other_is_done: bool,
    /// Below this messages run one by one.
    pub(crate) single_until: u8,
    pub(crate) finished: Offsets,
    pub(crate) step: Step,
    /// Messages of its transaction.
    pub(crate) count: u8,
    /// How many of them are admitted.
    pub(crate) admitted: u8,
    pub(crate) answers: [Answer; 3],
    /// Whether its second statement has seen the stopped-key row.
    pub(crate) sees_row: bool,
    /// Wrongly: what it remembers of that.
    pub(crate) cache: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Step {
    #[default]
    Idle,
    /// Admission writes marks.
    WriteMarks,
    /// Then it looks whether the key is stopped: its second statement takes its snapshot.
    LookAgain,
    /// And locks the row that it saw.
    LockAgain,
    Handle,
    /// The handler failed: a transaction of its own writes the parked mark.
    ParkMark,
    /// And the stopped-key row.
    ParkRow,
    ParkCommit,
}

/// What admission says of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Answer {
    #[default]
    None,
    Fresh,
    Follower,
    Duplicate,
}

/// Somebody who replays, discards, restores, hands back: a person or a worker's sweep.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Desk {
    pub(crate) step: DeskStep,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum DeskStep {
    #[default]
    Idle,
    /// Wants a parked message's mark.
    Replay(Message),
    /// Has it, and marks the row as draining.
    ReplayRow(Message),
    /// Runs the handler.
    ReplayHandle(Message),
    /// Wrongly: has made the effect and writes the mark.
    ReplayMark(Message),
    /// The handler failed on this one: the key is to be stopped again.
    Stop(Message),
    /// Wants a mark, to discard.
    Discard(Message),
    DiscardRow(Message),
    /// Wants a mark, to restore.
    Restore(Message),
    RestoreRow,
    RestoreCommit,
    /// Has emptied a key, maybe.
    WantsHandBack,
    /// Wants the row; whether it saw parked messages before it had it.
    HandBackLock(bool),
    HandBackLook(bool),
    HandBackDelete,
    HandBackCommit,
}

/// What has ever happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct History {
    pub(crate) out_of_order: bool,
    /// `A` made an effect after the partition was `B`'s, and before `B` did.
    pub(crate) zombie_was_first: bool,
    pub(crate) discarded: Messages,
    /// Those that a handler failed on, or that somebody has put back: they may stop their key.
    pub(crate) failed: Messages,
}

impl State {
    pub(super) fn new() -> Self {
        let mut state = Self::default();
        state.workers[Name::A].is_up = true;
        state
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effects = Message::ALL.into_iter().filter(|m| self.effects[*m] > 0);
        let effects = Messages::of(effects);
        write!(f, "offset {} | effects {effects:?} | marks", self.offset)?;
        for message in Message::ALL {
            let mark = self.tables.marks[message];
            match (mark.kept, mark.writer) {
                (Kept::Nothing, None) => {}
                (kept, None) => write!(f, " {message:?}={kept:?}")?,
                (kept, Some(_)) => write!(f, " {message:?}={kept:?}→{:?}", mark.pending)?,
            }
        }
        let row = &self.tables.row;
        if row.exists {
            let is = if row.is_draining {
                "draining"
            } else {
                "stopped"
            };
            write!(f, " | {is}")?;
        }
        for name in Name::BOTH {
            let worker = &self.workers[name];
            if worker.step != Step::Idle {
                write!(f, " | {name:?} {:?} from {}", worker.step, worker.next)?;
            }
        }
        for name in Name::BOTH {
            let step = self.desks[name].step;
            if step != DeskStep::Idle {
                write!(f, " | desk {name:?} {step:?}")?;
            }
        }
        Ok(())
    }
}
