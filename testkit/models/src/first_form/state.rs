//! Everything that there is at one moment.

use std::fmt;

use crate::{
    message::{Each, Message, Messages, Queue},
    name::{Name, Pair},
};

use super::bounds::Mishaps;

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    pub(crate) writers: Each<Writer>,
    /// The last position that the sequence gave out.
    pub(crate) drawn: u8,
    /// What transactions see.
    pub(crate) database: Database,
    /// What the server finds after a crash: without what was committed asynchronously since the last other commit.
    pub(crate) disk: Database,
    pub(crate) relays: Pair<Relay>,
    pub(crate) broker: Broker,
    pub(crate) happened: Mishaps,
    pub(crate) history: History,
}

/// A transaction that writes one message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Writer {
    pub(crate) stage: Stage,
    /// 0 = none yet.
    pub(crate) position: u8,
    /// Messages of its key that had been committed when its enqueue began.
    pub(crate) behind: Messages,
    /// Messages of its key that had been committed when it was.
    pub(crate) committed_behind: Messages,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Stage {
    #[default]
    NotBegun,
    /// Has locked the row of its aggregate.
    Locked,
    /// Has drawn its position: the row of the outbox is written.
    Drawn,
    /// Wrongly: has drawn, and locked afterwards.
    LockedLate,
    Committed,
    RolledBack,
}

/// The tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Database {
    /// Rows of the log that are committed; read in the order of their positions.
    pub(crate) log: Messages,
    /// The side table: stopped rows and their followers.
    pub(crate) held: Queue,
    pub(crate) owner: Owner,
    pub(crate) fence: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Owner {
    #[default]
    Nobody,
    Living(Name),
    /// It lives, and its lease has ended.
    Late(Name),
    /// A process that is no more, whose lease ends in time.
    Dead,
}

/// What a relay's process knows and is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Relay {
    /// The fence that it holds; 0 = none.
    pub(crate) fence: u8,
    pub(crate) at: At,
    pub(crate) round: Round,
    /// Wrongly: the highest position that it recorded.
    pub(crate) cursor: u8,
    /// Wrongly: stopped keys, read before the rows.
    pub(crate) stopped: Messages,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum At {
    #[default]
    Idle,
    /// Wrongly: has read which keys are stopped, and will read the rows.
    Peeked,
    /// Sends its round's rows; when there are none left, it records.
    Sending,
    /// In the transaction that records, behind the check of the fence.
    Recording,
    /// Wrongly: has taken rows from the log, and will put them into the side table.
    Moving,
    /// Stopped for ever, in that transaction.
    Frozen,
    /// The same, and the server has ended the transaction.
    FrozenAndEnded,
}

/// Rows that were fetched, and what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Round {
    /// Still to be sent.
    pub(crate) rows: Queue,
    /// Of these and those that were sent: the ones that lie in the side table.
    pub(crate) held: Messages,
    pub(crate) acknowledged: Messages,
    /// Refused, and not in the side table yet.
    pub(crate) stopped: Queue,
    /// Behind a stopped message of their key.
    pub(crate) following: Queue,
    /// Without an answer, or behind such a one.
    pub(crate) unknown: Messages,
    /// Refused in this round, wherever they lie.
    pub(crate) refused: Messages,
}

/// The broker, and what is on its way there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Broker {
    /// How often each message was stored; 2 = more than once.
    pub(crate) stored: Each<u8>,
    /// Sent, not answered, and still to arrive.
    pub(crate) in_flight: Messages,
}

/// What has ever happened that should not, or that shows that a run is worth something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(crate) struct History {
    pub(crate) invented: bool,
    pub(crate) out_of_order: bool,
    pub(crate) out_of_commit_order: bool,
    pub(crate) stale_write: bool,
    pub(crate) sent_again: bool,
    /// A former owner was refused.
    pub(crate) fenced: bool,
    /// A message was read that had committed after a later position was recorded.
    pub(crate) gap_filled: bool,
    pub(crate) refused: Messages,
}

impl State {
    pub(crate) fn committed(&self, message: Message) -> bool {
        self.writers[message].stage == Stage::Committed
    }

    /// A commit that waits for the disk takes along whatever was committed before.
    pub(crate) const fn flush(&mut self) {
        self.disk = self.database;
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Database {
            log,
            held,
            owner,
            fence,
        } = self.database;
        let stored = Messages::of(
            Message::ALL
                .into_iter()
                .filter(|m| self.broker.stored[*m] > 0),
        );
        write!(f, "log {log:?}")?;
        if !held.is_empty() {
            write!(f, " held {held:?}")?;
        }
        write!(f, " owner {owner:?} fence {fence} | stored {stored:?}")?;
        for name in Name::BOTH {
            let Relay {
                fence, at, round, ..
            } = self.relays[name];
            if fence > 0 {
                write!(f, " | {name:?} holds {fence}, {at:?}")?;
            }
            if !round.rows.is_empty() {
                write!(f, " with {:?} to send", round.rows)?;
            }
        }
        Ok(())
    }
}
