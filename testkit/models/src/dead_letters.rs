//! The dead letter queue: blocked keys, replay, draining, discarding, handing back.
//!
//! One partition; worker `A`, the former holder that does not know it; worker `B`, its successor,
//! who may be given the partition at any step; two operators. A message is *queued* as the dead
//! letter of its key, or held behind it. Every statement is cut at its snapshot and at each lock
//! that it may wait for, at READ COMMITTED. The model `inbox` covers the rest of a worker.

mod operator;
mod rules;
mod tables;
mod worker;

pub(crate) use rules::cases;

use crate::prelude::*;

use rules::Rule;
use tables::{Actor, Change, Kept, Pending, Tables};

/// Which form the protocol has in a case.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct DeadLetters {
    /// Whether one statement admits three messages, instead of one with each key going its own way.
    batches: bool,
    /// Whether the partition is never given to another worker.
    is_kept: bool,
    /// Whether discarded messages can be restored.
    restore: bool,
}

type Model = Bounded<DeadLetters>;

impl Protocol for DeadLetters {
    type State = State;
    type Rule = Rule;

    fn first(_: &Model) -> State {
        let mut state = State::default();
        state.workers[Name::A].is_up = true;
        state
    }

    fn steps(model: &Model, steps: &mut Steps<'_, State>) {
        let state = steps.state;
        let may_reassign = !state.is_reassigned && !model.form.is_kept;
        steps.duty_if(may_reassign, Name::B, "is given the partition", |s| {
            s.is_reassigned = true;
            model.assign(s, Name::B);
        });
        if let Some(effects) = state.lost {
            steps.duty("a lost transaction", "is committed", |s| {
                s.lost = None;
                model.commit(s, Actor::Nobody, effects);
            });
            steps.duty("a lost transaction", "rolls back", |s| {
                s.lost = None;
                s.tables.roll_back(Actor::Nobody);
            });
        }
        for name in Name::BOTH {
            let is_ended = state.workers[name].is_frozen && model.has(Rule::ServerEndsIdle);
            steps.duty_if(is_ended, name, "is ended by the server", |s| {
                s.tables.roll_back(Actor::Worker(name));
                s.workers[name] = Worker::default();
            });
            if state.workers[name].is_up {
                model.worker(name, steps);
            }
            model.operator(name, steps);
        }
    }

    fn guarantees(model: &Model) -> Guarantees<Self> {
        rules::guarantees(model)
    }

    fn view(state: &State) -> String {
        let (offset, row, effects) = (state.offset, state.tables.row, state.effects.all());
        let kept = |kept| (kept, state.tables.all(kept));
        let kept = [Kept::Done, Kept::Queued, Kept::Discarded].map(kept);
        let row = (row.exists, row.is_draining);
        let workers = state.workers.map(|_, w| (w.step, w.next));
        format!(
            "offset {offset} effects {effects:?} {kept:?} blocked, draining {row:?} \
             workers {workers:?} operators {:?}",
            state.operators
        )
    }
}

/// Everything that there is at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    pub(crate) tables: Tables,
    /// What the group has committed.
    pub(crate) offset: u8,
    /// Whether `B` was given the partition.
    pub(crate) is_reassigned: bool,
    pub(crate) workers: Pair<Worker>,
    /// Those who replay, discard, restore, hand back: persons, replayers, a worker's sweep.
    pub(crate) operators: Pair<Task>,
    /// A transaction whose client has lost sight of it, and its effects.
    pub(crate) lost: Option<Messages>,
    pub(crate) effects: Outcomes,
    /// `A` made an effect after the partition was `B`'s, and before `B` did.
    pub(crate) zombie_was_first: bool,
    pub(crate) discarded: Messages,
    /// Those that a handler failed on, or that were restored: they may block their key.
    pub(crate) failed: Messages,
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
    /// Those of them that are neither duplicates nor held.
    pub(crate) fresh: Messages,
    /// Whether its second statement has seen the row of the blocked key.
    pub(crate) sees_row: bool,
    /// Wrongly: what it remembers of that.
    pub(crate) cache: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Step {
    #[default]
    Idle,
    /// Admission writes processed records.
    Admit,
    /// Then it looks for a blocked key: the second statement takes its snapshot.
    Look,
    /// And locks the row that it saw.
    LockRow,
    Handle,
    /// The handler failed: a transaction of its own writes the record of a dead letter.
    DeadLetter,
    /// And the row of the blocked key.
    BlockKey,
    CommitDeadLetter,
}

/// What an operator wants of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum What {
    Replay,
    Discard,
    Restore,
}

/// What an operator is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Task {
    #[default]
    Idle,
    /// Wants a message's body.
    Lock(What, Message),
    /// Has it, and makes the row draining.
    Drain(What, Message),
    /// Runs the handler.
    Handle(Message),
    /// Wrongly: has made the effect and writes the record.
    Record(Message),
    /// The handler failed on this one: the key is to be blocked again.
    Block(Message),
    RestoreRow,
    /// Has emptied a key, maybe.
    HandBack,
    /// Wants the row; whether it saw queued messages before it had it.
    LockRow(bool),
    Look(bool),
    DeleteRow,
    Commit,
}
