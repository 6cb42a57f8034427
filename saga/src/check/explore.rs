//! Breadth first, so that the first counterexample is the shortest.

use std::collections::{HashSet, VecDeque};

use super::{
    counterexample::Counterexample,
    faults::Faults,
    world::{Event, World},
};
use crate::{
    Definition,
    definition::Shape,
    state::{Phase, Status},
};

/// What was explored without finding a violation.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Explored {
    /// Distinct states of the run, its participants and the messages between them.
    pub states: usize,
    /// How many of them are a completed run with nothing under way.
    pub completed: usize,
    /// How many of them are an undone run with nothing under way.
    pub undone: usize,
    /// How many of them are a run that is overdue, and waits for a silent participant.
    pub overdue: usize,
}

struct Node {
    world: World,
    from: Option<(usize, Event)>,
}

/// Explores every order of what may happen to a run of `definition`, with these faults.
///
/// # Errors
/// The shortest [`Counterexample`].
pub fn check_all_interleavings<I>(
    definition: &Definition<I>,
    faults: Faults,
) -> Result<Explored, Box<Counterexample>> {
    explore(definition.shape(), faults)
}

fn explore(shape: &Shape, faults: Faults) -> Result<Explored, Box<Counterexample>> {
    let first = World::new(shape, faults);
    let mut seen = HashSet::from([first.key()]);
    let mut nodes = vec![Node {
        world: first,
        from: None,
    }];
    let mut open = VecDeque::from([0]);
    let mut explored = Explored::default();
    while let Some(place) = open.pop_front() {
        explored.states += 1;
        let world = nodes[place].world.clone();
        let events = world.events(shape, faults);
        if let Some(violation) = world.violation(shape, !events.is_empty()) {
            let (events, state) = (history(&nodes, place), world.state);
            let found = Counterexample::new(shape, violation, &events, &state);
            return Err(Box::new(found));
        }
        if events.is_empty() {
            match world.state.status() {
                Status::Completed => explored.completed += 1,
                Status::Undone => explored.undone += 1,
                _ => explored.overdue += 1,
            }
        }
        for event in events {
            let next = world.after(shape, faults, event);
            if seen.insert(next.key()) {
                open.push_back(nodes.len());
                nodes.push(Node {
                    world: next,
                    from: Some((place, event)),
                });
            }
        }
    }
    Ok(explored)
}

/// What has happened on the way to a node, with the phase that it led to.
fn history(nodes: &[Node], place: usize) -> Vec<(Event, Phase)> {
    let mut events = Vec::new();
    let mut at = place;
    while let Some((from, event)) = nodes[at].from {
        events.push((event, nodes[at].world.state.phase));
        at = from;
    }
    events.reverse();
    events
}
