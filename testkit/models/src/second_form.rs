//! The outbox's second form, which is to be built: an append-only log, read by a cursor with a settled watermark and the
//! published ranges above it.
//!
//! One shard with a sequence of its own; writers with one message each; two relays. A writer has its transaction id (and
//! its lock on the table) before it draws a position. A round reads the tail and every hole in one snapshot, publishes, and records
//! ranges and side-table moves in one statement that checks the fence. Beside its rounds a relay moves the watermark: it reads the
//! highest drawn position L, takes a transaction id X, waits until no transaction before X is open, and reads the rows up to L once
//! more. Partitions of the log are truncated when all their rows lie below the watermark.

mod action;
mod bounds;
mod cases;
mod guarantees;
mod log;
mod round;
mod rule;
mod settle;
mod state;

pub(crate) use cases::cases;

use stateright::{Model, Property};

use action::Action;
use bounds::Bounds;
use rule::Rule;
use state::State;

use crate::case::Protocol;

/// The protocol, within bounds, with or without some of its rules.
#[derive(Clone, Debug)]
pub(crate) struct SecondForm {
    bounds: Bounds,
    without: Option<Rule>,
}

impl SecondForm {
    fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

impl Model for SecondForm {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.bounds.pipeline)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps_of_writers(state, actions);
        self.steps_of_relays(state, actions);
        self.steps_of_storage(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        self.take(&mut state, action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        guarantees::properties(&self.bounds)
    }
}

impl Protocol for SecondForm {
    fn view(&self, state: &State) -> String {
        state.to_string()
    }
}
