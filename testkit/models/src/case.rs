//! A case: a protocol, how much of everything happens in it, and what is expected to come of it.

use std::{collections::BTreeSet, fmt, hash::Hash};

use mainstay_clock::{Clock as _, SystemClock};
use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use crate::report::{Broken, Report, Step};

/// A protocol as a model, with a few words on a state for whoever reads a trace.
pub(crate) trait Protocol: Model + Clone + Send + Sync + 'static {
    fn view(&self, state: &Self::State) -> String;
}

/// Where a run gives up: every state generated, also one that was seen before, counts.
const MOST_STATES: usize = 40_000_000;

/// One run of one model.
pub struct Case {
    model: &'static str,
    name: String,
    size: Size,
    run: Box<dyn Fn() -> Report + Send + Sync>,
}

/// Which runs a case belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there are these three")]
pub enum Size {
    /// All rules hold, and its whole space is seen within seconds.
    Small,
    /// All rules hold, and it takes minutes.
    Large,
    /// A rule less: it is over at the first state that breaks the guarantee that rests on the rule.
    Removed,
}

impl Case {
    /// A case in which every guarantee holds.
    pub(crate) fn holds<P>(model: &'static str, name: &str, size: Size, protocol: P) -> Self
    where
        P: Protocol,
        P::State: Clone + fmt::Debug + Hash + PartialEq + Send + Sync,
        P::Action: Clone + fmt::Debug + PartialEq + Send + Sync,
    {
        let told = name.to_owned();
        Self {
            model,
            name: name.to_owned(),
            size,
            run: Box::new(move || explore(model, &told, None, &protocol)),
        }
    }

    /// A case without a rule, in which `breaks` is broken; `form` tells it from others without that rule.
    pub(crate) fn removed<P>(
        model: &'static str,
        rule: impl fmt::Debug,
        form: &str,
        breaks: &'static str,
        protocol: P,
    ) -> Self
    where
        P: Protocol,
        P::State: Clone + fmt::Debug + Hash + PartialEq + Send + Sync,
        P::Action: Clone + fmt::Debug + PartialEq + Send + Sync,
    {
        let name = kebab(&format!("{rule:?}{form}"));
        let told = name.clone();
        Self {
            model,
            name,
            size: Size::Removed,
            run: Box::new(move || explore(model, &told, Some(breaks), &protocol)),
        }
    }

    /// Which protocol.
    #[must_use]
    pub const fn model(&self) -> &'static str {
        self.model
    }

    /// What happens in it, or which rule it goes without.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which runs it belongs to.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Explores it, breadth first and in one thread: every run of a case gives the same report, but for the seconds.
    #[must_use]
    pub fn run(&self) -> Report {
        (self.run)()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("model", &self.model)
            .field("name", &self.name)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

fn explore<P>(model: &'static str, name: &str, breaks: Option<&'static str>, protocol: &P) -> Report
where
    P: Protocol,
    P::State: Clone + fmt::Debug + Hash + PartialEq + Send + Sync,
    P::Action: Clone + fmt::Debug + PartialEq + Send + Sync,
{
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let finish = breaks.map_or(HasDiscoveries::All, |property| {
        HasDiscoveries::AllOf(BTreeSet::from([property]))
    });
    let checker = protocol
        .clone()
        .checker()
        .threads(1)
        .finish_when(finish)
        .target_state_count(MOST_STATES)
        .spawn_bfs()
        .join();
    let mut reached = Vec::new();
    let mut missed = Vec::new();
    let mut broken = Vec::new();
    let mut found = checker.discoveries();
    for property in protocol.properties() {
        match (property.expectation, found.remove(property.name)) {
            (Expectation::Sometimes, Some(_)) => reached.push(property.name),
            (Expectation::Sometimes, None) => missed.push(property.name),
            (_, Some(path)) if breaks.is_none_or(|name| name == property.name) => {
                let path = shortest(protocol, property.name, path);
                broken.push(Broken {
                    property: property.name,
                    steps: steps(protocol, path),
                });
            }
            (_, Some(_) | None) => {}
        }
    }
    Report {
        model,
        case: name.to_owned(),
        breaks,
        states: checker.unique_state_count(),
        generated: checker.state_count(),
        depth: checker.max_depth() - 1,
        complete: breaks.is_none() && checker.is_done() && checker.state_count() < MOST_STATES,
        seconds: clock.monotonic().remaining_at(began).as_secs_f64(),
        reached,
        missed,
        broken,
    }
}

/// The checker looks at states in blocks and keeps the last discovery of a block: looks for a shorter one, until there
/// is none.
fn shortest<P>(
    protocol: &P,
    property: &'static str,
    found: Path<P::State, P::Action>,
) -> Path<P::State, P::Action>
where
    P: Protocol,
    P::State: Clone + fmt::Debug + Hash + PartialEq + Send + Sync,
    P::Action: Clone + fmt::Debug + PartialEq + Send + Sync,
{
    let mut best = found;
    loop {
        // The first state has depth 1, and states at the target are not looked at.
        let steps = best.clone().into_actions().len();
        let shorter = protocol
            .clone()
            .checker()
            .threads(1)
            .finish_when(HasDiscoveries::AllOf(BTreeSet::from([property])))
            .target_max_depth(steps + 1)
            .spawn_bfs()
            .join();
        match shorter.discovery(property) {
            Some(path) => best = path,
            None => return best,
        }
    }
}

fn steps<P>(protocol: &P, path: Path<P::State, P::Action>) -> Vec<Step>
where
    P: Protocol,
    P::Action: fmt::Debug,
{
    let pairs = path.into_vec();
    let states = pairs.iter().skip(1).map(|(state, _)| protocol.view(state));
    let actions = pairs.iter().filter_map(|(_, action)| action.as_ref());
    actions
        .zip(states)
        .map(|(action, state)| Step {
            action: format!("{action:?}"),
            state,
        })
        .collect()
}

/// `FenceIsChecked` → `fence-is-checked`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter == ' ' || (letter.is_uppercase() && at > 0) {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase().filter(|letter| *letter != ' '));
    }
    kebab
}
