//! Everything that there is at one moment.

use std::fmt;

use crate::{
    message::{Each, Message, Messages, Queue},
    name::{Name, Pair},
};

use super::bounds::Mishaps;

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) writers: Each<Writer>,
    /// The next transaction id.
    pub(crate) next_id: u8,
    /// The last position that the sequence gave out.
    pub(crate) drawn: u8,
    pub(crate) cursor: Cursor,
    /// The side table.
    pub(crate) side: Queue,
    pub(crate) storage: Storage,
    pub(crate) relays: Pair<Relay>,
    /// How often each message was stored by the broker; 2 = more than once.
    pub(crate) stored: Each<u8>,
    pub(crate) happened: Mishaps,
    pub(crate) history: History,
}

/// A transaction that writes one message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Writer {
    pub(crate) stage: Stage,
    /// Its transaction id; 0 = none yet.
    pub(crate) id: u8,
    /// 0 = none yet.
    pub(crate) position: u8,
    /// Messages of its key that had been committed when its position was drawn.
    pub(crate) behind: Messages,
    /// The partition that its row lies in.
    pub(crate) partition: Partition,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Stage {
    #[default]
    NotBegun,
    /// Has one of id and position.
    Begun,
    /// Has both: the row is written.
    Written,
    Committed,
    RolledBack,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Partition {
    #[default]
    First,
    Second,
}

/// The shard's row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Cursor {
    pub(crate) fence: u8,
    /// All up to this position is published or will never be.
    pub(crate) watermark: u8,
    /// What is published above it.
    pub(crate) published: Messages,
}

/// The log's partitions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Storage {
    /// The one that rows are written to.
    pub(crate) current: Partition,
    /// Wrongly: the one that was checked before its lock was asked for.
    pub(crate) checked: Option<Partition>,
    /// Rows that were truncated.
    pub(crate) truncated: Messages,
}

/// What a relay's process knows and is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Relay {
    /// The fence that it holds; 0 = it does not run.
    pub(crate) fence: u8,
    pub(crate) watermark: u8,
    pub(crate) published: Messages,
    /// Wrongly: messages whose keys it believes stopped.
    pub(crate) stopped: Messages,
    pub(crate) round: Round,
    pub(crate) settling: Settling,
    /// A row of the side table that was sent and is to be removed.
    pub(crate) served: Option<Message>,
}

/// Rows that were read, and what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Round {
    pub(crate) at: At,
    /// Still to be sent.
    pub(crate) rows: Queue,
    pub(crate) acknowledged: Messages,
    /// Refused, or behind such a row: for the side table.
    pub(crate) aside: Queue,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum At {
    #[default]
    Idle,
    /// Wrongly: has read the holes, and will read the tail.
    Holes,
    /// Sends its rows; when there are none left, it records.
    Sending,
    /// Wrongly: has written one half of the record.
    HalfRecorded,
}

/// How far the watermark's next move is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Settling {
    pub(crate) step: Step,
    /// L.
    pub(crate) limit: u8,
    /// X.
    pub(crate) id: u8,
    /// Those that are waited for, by locks.
    pub(crate) holders: Messages,
    /// Wrongly: the last read came before the wait was over.
    pub(crate) has_read: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Step {
    #[default]
    Idle,
    /// L is read.
    Limited,
    /// Wrongly: X is taken, and L not read.
    Marked,
    /// Waits for the transactions that were open.
    Waiting,
    /// Has seen that they have ended.
    Seen,
    /// Has read the rows up to L once more.
    Moving,
}

/// What has ever happened that should not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct History {
    pub(crate) invented: bool,
    pub(crate) out_of_order: bool,
    pub(crate) sent_again: bool,
    /// What was recorded as published.
    pub(crate) recorded: Messages,
}

impl State {
    pub(super) fn new(pipeline: bool) -> Self {
        let owner = Relay {
            fence: 1,
            ..Relay::default()
        };
        let mut relays = Pair::default();
        relays[Name::A] = owner;
        if pipeline {
            relays[Name::B] = owner;
        }
        Self {
            writers: Each::default(),
            next_id: 1,
            drawn: 0,
            cursor: Cursor {
                fence: 1,
                ..Cursor::default()
            },
            side: Queue::default(),
            storage: Storage::default(),
            relays,
            stored: Each::default(),
            happened: Mishaps::NONE,
            history: History::default(),
        }
    }

    pub(crate) fn is_open(&self, message: Message) -> bool {
        let writer = self.writers[message];
        writer.id > 0 && matches!(writer.stage, Stage::Begun | Stage::Written)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = Message::ALL.into_iter().filter(|m| {
            let committed = self.writers[*m].stage == Stage::Committed;
            committed && !self.storage.truncated.contains(*m)
        });
        write!(f, "log [")?;
        for (at, row) in rows.enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{row:?}@{}", self.writers[row].position)?;
        }
        let stored = Message::ALL.into_iter().filter(|m| self.stored[*m] > 0);
        let Cursor {
            fence,
            watermark,
            published,
        } = self.cursor;
        write!(f, "] watermark {watermark} published {published:?}")?;
        if !self.side.is_empty() {
            write!(f, " side {:?}", self.side)?;
        }
        write!(f, " fence {fence} | stored {:?}", Messages::of(stored))?;
        for name in Name::BOTH {
            let relay = self.relays[name];
            if relay.fence > 0 {
                write!(f, " | {name:?} holds {}", relay.fence)?;
                if relay.round.at != At::Idle {
                    write!(f, ", to send {:?}", relay.round.rows)?;
                }
                if relay.settling.step != Step::Idle {
                    let Settling {
                        step, limit, id, ..
                    } = relay.settling;
                    write!(f, ", {step:?} L={limit} X={id}")?;
                }
            }
        }
        Ok(())
    }
}
