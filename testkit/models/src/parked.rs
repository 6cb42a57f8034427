//! The parked protocol, which is to be built: stopped keys, parking, replay, draining, discarding, restoring, handing back.
//!
//! One partition; worker `A`, the former holder that does not know it, and worker `B`, its successor, who may be given the partition at
//! any step; two desks. Every statement is cut at its snapshot and at each lock that it may wait for, at READ COMMITTED. What a worker
//! does with marks, offsets and retention beyond that is the model `inbox`.

mod action;
mod bounds;
mod cases;
mod desk;
mod guarantees;
mod rule;
mod state;
mod tables;
mod worker;

pub(crate) use cases::cases;

use stateright::{Model, Property};

use action::Action;
use bounds::Bounds;
use rule::Rule;
use state::State;

use crate::case::Protocol;

/// The protocol, within bounds, with or without some of its rules.
#[derive(Clone, Debug)]
pub(crate) struct Parked {
    bounds: Bounds,
    without: Option<Rule>,
}

impl Parked {
    fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

impl Model for Parked {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.duties(state, actions);
        self.choices(state, actions);
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

impl Protocol for Parked {
    fn view(&self, state: &State) -> String {
        state.to_string()
    }
}
