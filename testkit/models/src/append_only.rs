//! The outbox's append-only store, to be built: a log, a settled watermark, published ranges.
//!
//! One shard with a sequence of its own; writers with one message each; two relays. A writer takes
//! its transaction id, and the table's lock, before it draws a position. A round reads the tail and
//! every hole in one snapshot and publishes. One statement then records ranges and deferred rows,
//! and checks the fencing token. Beside its rounds a relay moves the watermark: it reads the highest
//! drawn position L, takes a transaction id X, waits until no transaction before X is open, and
//! reads the rows up to L again. A partition is truncated when all its rows are below the watermark.

mod round;
mod rules;
mod steps;

pub(crate) use rules::cases;

use crate::prelude::*;

use round::unpublished;
use rules::Rule;
use steps::send;

/// Which form the protocol has in a case.
#[derive(Clone, Copy, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(crate) struct AppendOnly {
    /// Whether a relay waits for the holders of the table's lock, not for the oldest open id.
    by_locks: bool,
    /// Whether a relay merges its memory into the cursor's row, instead of replacing it.
    merged_cursor: bool,
    /// Whether there is one relay with two rounds in flight, instead of two relays.
    pipeline: bool,
    /// Whether partitions are rotated and truncated.
    truncation: bool,
}

type Model = Bounded<AppendOnly>;

impl Protocol for AppendOnly {
    type State = State;
    type Rule = Rule;

    fn first(model: &Model) -> State {
        State::new(model.form.pipeline)
    }

    fn steps(model: &Model, steps: &mut Steps<'_, State>) {
        model.writers(steps);
        model.relays(steps);
        model.storage(steps);
    }

    fn guarantees(model: &Model) -> Guarantees<Self> {
        rules::guarantees(model)
    }

    fn view(state: &State) -> String {
        let (outbox, cursor, deferred) = (&state.outbox, state.cursor, state.deferred);
        let log = state.visible().iter();
        let log: Vec<_> = log.map(|m| (m, outbox.position(m))).collect();
        let stored = outbox.broker.all();
        let relays = (state.relays).map(|_, r| (r.known.token, r.round.rows, r.settling.step));
        format!("log {log:?} {cursor:?} deferred {deferred:?} stored {stored:?} relays {relays:?}")
    }
}

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    pub(crate) outbox: Outbox,
    /// Transaction ids; 0 = none yet.
    pub(crate) ids: Each<u8>,
    pub(crate) last_id: u8,
    pub(crate) cursor: Cursor,
    pub(crate) deferred: Queue,
    /// The partition that rows are written to.
    pub(crate) current: Partition,
    /// The one that each row was written to.
    pub(crate) partitions: Each<Partition>,
    /// Wrongly: the one that was checked before its lock was asked for.
    pub(crate) checked: Option<Partition>,
    /// Rows that were truncated.
    pub(crate) truncated: Messages,
    pub(crate) relays: Pair<Relay>,
    /// What was recorded as published.
    pub(crate) recorded: Messages,
    /// The owner sent what was recorded.
    pub(crate) sent_again: bool,
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
    /// The fencing token.
    pub(crate) token: u8,
    /// Everything up to this position is published or will never be.
    pub(crate) watermark: u8,
    /// What is published above it.
    pub(crate) published: Messages,
}

/// What a relay's process knows and is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Relay {
    /// The cursor as it knows it; token 0 = it does not run.
    pub(crate) known: Cursor,
    /// Wrongly: messages whose keys it believes blocked.
    pub(crate) blocked: Messages,
    pub(crate) round: Round,
    pub(crate) settling: Settling,
    /// A deferred row that was sent and is to be removed.
    pub(crate) served: Option<Message>,
}

/// Rows that were read, and what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Round {
    pub(crate) at: At,
    /// Still to be sent.
    pub(crate) rows: Queue,
    pub(crate) acknowledged: Messages,
    /// Refused, or held behind such a row: to be deferred.
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
    /// L is read; wrongly: X is taken, and L not read.
    Begun,
    /// Waits for the transactions that were open.
    Waiting,
    /// Has seen that they have ended.
    Seen,
    /// Has read the rows up to L once more.
    Moving,
}

impl Round {
    /// Rows that it has read and that are not recorded.
    pub(crate) fn in_flight(&self) -> Messages {
        let unsettled = self.rows.set().and(self.aside.set());
        unsettled.and(self.acknowledged)
    }
}

impl State {
    pub(super) fn new(pipeline: bool) -> Self {
        let mut state = Self::default();
        state.cursor.token = 1;
        state.relays[Name::A].known.token = 1;
        state.relays[Name::B].known.token = u8::from(pipeline);
        state
    }

    /// Committed rows that are still there.
    pub(crate) fn visible(&self) -> Messages {
        self.outbox.committed().without(self.truncated)
    }

    /// Whether a message's transaction is open anywhere that the relay looks.
    pub(crate) fn is_open(&self, message: Message) -> bool {
        let stage = self.outbox.stage(message);
        self.ids[message] > 0 && matches!(stage, Stage::Begun | Stage::Written)
    }
}
