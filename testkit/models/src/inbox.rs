//! The inbox, as built: marks, offsets, lanes, redelivery.
//!
//! One partition; two workers, of which either may be a *former holder* that does not know it and goes on with all it has in
//! hand. A worker starts the messages of one key one after the other, those of different keys at once or in one batch; a
//! transaction admits its messages, makes the effects of the fresh ones, and commits both. Offsets are committed up to the lowest
//! unfinished one. What cannot be handled stops its key and stays in the log. Retention forgets marks.
//!
//! Statements are cut where one may wait for another's mark. Everything that has been written to the log can be started at once, up
//! to the bound of the span.

mod action;
mod bounds;
mod broker;
mod cases;
mod guarantees;
mod rule;
mod state;
mod transaction;

pub(crate) use cases::cases;

use stateright::{Model, Property};

use action::Action;
use bounds::Bounds;
use rule::Rule;
use state::State;

use crate::case::Protocol;

/// The protocol, within bounds, with or without some of its rules.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    bounds: Bounds,
    without: Option<Rule>,
}

impl Inbox {
    fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

impl Model for Inbox {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps_of_workers(state, actions);
        self.steps_of_surroundings(state, actions);
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

impl Protocol for Inbox {
    fn view(&self, state: &State) -> String {
        state.to_string()
    }
}
