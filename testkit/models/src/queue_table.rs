//! The outbox's queue-table store, as built: a row exists until its message is published.
//!
//! One shard; writers with one message each; two relays. Either may be a *former owner* that does
//! not know it. A relay leases the shard, fetches its rows in one snapshot, and sends them one after
//! the other. One transaction records the outcomes and checks the fencing token under a share lock
//! on the shard's row. Refused messages, and those held behind them, go to the deferred table; a
//! blocked key is served from there only.
//!
//! Time is left out: a lease may end at any step, and no send has a deadline. So the guarantees hold
//! however late a relay is. The deadline protects operators who discard messages.

mod relay;
mod rules;
mod steps;

pub(crate) use rules::cases;

use crate::prelude::*;

use rules::Rule;
use steps::Fate;

/// Which form the protocol has in a case.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct QueueTable {
    /// Whether writers lock the row of their aggregate, one a key, until they commit.
    row_locks: bool,
    /// Whether two rows are fetched at once, instead of all.
    in_parts: bool,
}

type Model = Bounded<QueueTable>;

impl Protocol for QueueTable {
    type State = State;
    type Rule = Rule;

    fn steps(model: &Model, steps: &mut Steps<'_, State>) {
        model.writers(steps);
        model.relays(steps);
        model.surroundings(steps);
    }

    fn guarantees(model: &Model) -> Guarantees<Self> {
        rules::guarantees(model)
    }

    fn view(state: &State) -> String {
        let (database, stored) = (state.database, state.outbox.broker.all());
        let relays = state.relays.map(|_, r| (r.token, r.at, r.round.rows));
        format!("{database:?} stored {stored:?} relays {relays:?}")
    }
}

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(crate) struct State {
    pub(crate) outbox: Outbox,
    /// Messages of its key that had been committed when a message was.
    pub(crate) committed_behind: Each<Messages>,
    /// What transactions see.
    pub(crate) database: Database,
    /// What the server finds after a crash: without the asynchronous commits since the last other.
    pub(crate) disk: Database,
    pub(crate) relays: Pair<Relay>,
    /// Sent, not answered, and still to arrive at the broker.
    pub(crate) under_way: Messages,
    pub(crate) out_of_commit_order: bool,
    pub(crate) stale_write: bool,
    pub(crate) sent_again: bool,
    /// A former owner was refused.
    pub(crate) fenced: bool,
    /// A message was read that had committed after a later one was stored.
    pub(crate) gap_filled: bool,
    pub(crate) refused: Messages,
}

/// The tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Database {
    /// Rows of the log that are committed; read in the order of their positions.
    pub(crate) log: Messages,
    /// The deferred table: refused rows, and those held behind them.
    pub(crate) deferred: Queue,
    pub(crate) owner: Owner,
    /// The fencing token.
    pub(crate) token: u8,
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
    /// The fencing token that it holds; 0 = none.
    pub(crate) token: u8,
    pub(crate) at: At,
    pub(crate) round: Round,
    /// Wrongly: the highest position that it recorded.
    pub(crate) cursor: u8,
    /// Wrongly: deferred rows, read before those of the log.
    pub(crate) peeked: Messages,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum At {
    #[default]
    Idle,
    /// Wrongly: has read which keys are blocked, and will read the rows.
    Peeked,
    /// Sends its round's rows; when there are none left, it records.
    Sending,
    /// In the transaction that records, behind the check of the token.
    Recording,
    /// Wrongly: has taken rows from the log, and will put them into the deferred table.
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
    /// Of these and those that were sent: the ones that lie in the deferred table.
    pub(crate) deferred: Messages,
    pub(crate) acknowledged: Messages,
    /// Refused, and not in the deferred table yet.
    pub(crate) blocking: Queue,
    /// Held behind a refused message of their key, and not in the deferred table yet.
    pub(crate) held: Queue,
    /// Without an answer, or behind such a one.
    pub(crate) unknown: Messages,
    /// Refused in this round, wherever they lie.
    pub(crate) refused: Messages,
}

impl Round {
    /// What goes to the deferred table.
    pub(crate) fn aside(&self) -> Messages {
        self.blocking.set().and(self.held.set())
    }

    /// A held message that lies in the deferred table already stays in its place there.
    pub(crate) fn hold(&mut self, message: Message) {
        if !self.deferred.contains(message) {
            self.held.push(message);
        }
    }
}

impl State {
    /// A commit that waits for the disk takes along everything that was committed before.
    pub(crate) const fn flush(&mut self) {
        self.disk = self.database;
    }
}
