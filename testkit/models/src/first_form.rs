//! The outbox's first form, as built: a row exists = it is committed and not yet published.
//!
//! One shard; writers with one message each; two relays, of which either may be a *former owner* that does not know it.
//! A relay leases the shard, fetches its rows in one snapshot, sends them one after the other, and records what became of
//! them in one transaction that checks the fence under a share lock on the shard's row. Refused messages and their followers
//! go to a side table, from which alone a stopped key is served.
//!
//! Time is left out: a lease may end whenever the budget says so, and no send has a deadline. So what holds here
//! holds however late anybody is; the deadline of a send is there for those who discard messages, and protects no guarantee of these.

mod action;
mod bounds;
mod cases;
mod guarantees;
mod lease;
mod round;
mod rule;
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
pub(crate) struct FirstForm {
    bounds: Bounds,
    without: Option<Rule>,
}

impl FirstForm {
    fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

impl Model for FirstForm {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps_of_writers(state, actions);
        self.steps_of_relays(state, actions);
        self.mishaps(state, actions);
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

impl Protocol for FirstForm {
    fn view(&self, state: &State) -> String {
        state.to_string()
    }
}
