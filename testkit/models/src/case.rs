//! A case: a protocol, how much of everything happens in it, and what is expected to come of it.

use std::{collections::BTreeSet, fmt};

use clap::ValueEnum;
use mainstay_clock::{Clock as _, SystemClock};
use stateright::{Checker, CheckerBuilder, Expectation, HasDiscoveries, Model as _, Path};

use crate::{
    model::{Bounded, Budget, Log, Protocol, Run},
    report::{Broken, Report},
};

/// Where a run gives up: every state generated, also one that was seen before, counts.
const MOST_STATES: usize = 40_000_000;

/// One run of one model.
#[derive(Debug)]
pub struct Case {
    /// Which protocol.
    pub model: &'static str,
    /// What happens in it, or which rule it goes without.
    pub name: String,
    /// Which runs it belongs to.
    pub size: Size,
    breaks: Option<&'static str>,
    protocol: Box<dyn Explore>,
}

/// Which runs a case belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Size {
    /// All rules hold, and its whole space is seen within seconds.
    Small,
    /// All rules hold, and it takes minutes.
    Large,
    /// Without a rule, until a state breaks the guarantee that rests on the rule.
    Removed,
}

impl Case {
    /// Explores it breadth first in one thread, so that only the seconds differ between runs.
    #[must_use]
    pub fn run(&self) -> Report {
        self.protocol.explore(self)
    }
}

/// The cases of one protocol, written down one after the other.
pub(crate) struct Cases<P> {
    model: &'static str,
    form: P,
    label: &'static str,
    list: Vec<Case>,
}

impl<P: Protocol> Cases<P> {
    pub(crate) fn of(model: &'static str) -> Self {
        Self {
            model,
            form: P::default(),
            label: "",
            list: Vec::new(),
        }
    }

    /// The cases that follow are of this form, and their names say so.
    pub(crate) fn form(mut self, label: &'static str, change: fn(&mut P)) -> Self {
        (self.label, self.form) = (label, P::default());
        change(&mut self.form);
        self
    }

    /// A case in which every guarantee holds, and that takes seconds.
    pub(crate) fn small(self, messages: Log, mishaps: Budget) -> Self {
        self.case(Size::Small, None, messages, mishaps)
    }

    /// The same, and it takes minutes.
    pub(crate) fn large(self, messages: Log, mishaps: Budget) -> Self {
        self.case(Size::Large, None, messages, mishaps)
    }

    /// A case without a rule, in which `breaks` is broken.
    pub(crate) fn without(
        self,
        rule: P::Rule,
        breaks: &'static str,
        messages: Log,
        mishaps: Budget,
    ) -> Self {
        self.case(Size::Removed, Some((rule, breaks)), messages, mishaps)
    }

    pub(crate) fn list(self) -> Vec<Case> {
        self.list
    }

    /// The rule that is removed; otherwise what is in the log, and what happens.
    fn name(&self, without: Option<P::Rule>, messages: Log, mishaps: Budget) -> String {
        if let Some(rule) = without {
            let name = words(&rule, '-');
            let is_taken = self.list.iter().any(|case| case.name == name);
            let label = self.label.replace(' ', "-");
            return if is_taken {
                format!("{name}-{label}")
            } else {
                name
            };
        }
        let messages: Vec<_> = messages.iter().map(|m| format!("{m:?}")).collect();
        let label = if self.label.is_empty() { "" } else { ", " };
        let mishaps: Vec<_> = mishaps.iter().map(|mishap| words(mishap, ' ')).collect();
        let (messages, mishaps) = (messages.join(" "), mishaps.join(", "));
        format!("{messages}{label}{}: {mishaps}", self.label)
    }

    fn case(
        mut self,
        size: Size,
        removed: Option<(P::Rule, &'static str)>,
        messages: Log,
        mishaps: Budget,
    ) -> Self {
        let (without, breaks) = removed.unzip();
        self.list.push(Case {
            model: self.model,
            name: self.name(without, messages, mishaps),
            size,
            breaks,
            protocol: Box::new(Bounded {
                form: self.form,
                messages,
                mishaps,
                without,
            }),
        });
        self
    }
}

/// `TokenIsChecked` → `token is checked`.
fn words(name: &impl fmt::Debug, between: char) -> String {
    let mut words = String::new();
    for letter in format!("{name:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(between);
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// What a case runs, whatever its protocol is.
trait Explore: fmt::Debug + Send + Sync {
    fn explore(&self, case: &Case) -> Report;
}

impl<P: Protocol> Explore for Bounded<P> {
    fn explore(&self, case: &Case) -> Report {
        let clock = SystemClock::new();
        let began = clock.monotonic();
        let checker = builder(self, case.breaks);
        let checker = checker.target_state_count(MOST_STATES).spawn_bfs().join();
        let is_whole = checker.is_done() && checker.state_count() < MOST_STATES;
        let mut report = Report {
            model: case.model,
            case: case.name.clone(),
            breaks: case.breaks,
            states: checker.unique_state_count(),
            depth: checker.max_depth() - 1,
            complete: case.breaks.is_none() && is_whole,
            seconds: clock.monotonic().remaining_at(began).as_secs_f64(),
            ..Report::default()
        };
        let mut found = checker.discoveries();
        for property in self.properties() {
            let name = property.name;
            match (property.expectation, found.remove(name)) {
                (Expectation::Sometimes, None) => report.missed.push(name),
                (Expectation::Sometimes, Some(_)) => {}
                (_, Some(path)) if case.breaks.is_none_or(|breaks| breaks == name) => {
                    report.broken.push(Broken {
                        property: name,
                        steps: steps(self, shortest(self, name, path)),
                    });
                }
                _ => {}
            }
        }
        report
    }
}

type Builder<P> = CheckerBuilder<Bounded<P>>;
type Trace<P> = Path<Run<<P as Protocol>::State>, Run<<P as Protocol>::State>>;

/// A checker that stops when the property is broken, or when everything was found.
fn builder<P: Protocol>(bounded: &Bounded<P>, breaks: Option<&'static str>) -> Builder<P> {
    let one = |property| HasDiscoveries::AllOf(BTreeSet::from([property]));
    let finish = breaks.map_or(HasDiscoveries::All, one);
    bounded.clone().checker().threads(1).finish_when(finish)
}

/// The checker keeps the last discovery of a block of states: looks for shorter ones.
fn shortest<P: Protocol>(bounded: &Bounded<P>, name: &'static str, found: Trace<P>) -> Trace<P> {
    let mut best = found;
    loop {
        // The first state has depth 1, and states at the target are not looked at.
        let depth = best.clone().into_actions().len() + 1;
        let shorter = builder(bounded, Some(name)).target_max_depth(depth);
        match shorter.spawn_bfs().join().discovery(name) {
            Some(path) => best = path,
            None => return best,
        }
    }
}

fn steps<P: Protocol>(bounded: &Bounded<P>, path: Trace<P>) -> Vec<(String, String)> {
    let runs = path.into_states();
    let step = |pair: &[Run<P::State>]| (bounded.label(&pair[0], &pair[1]), P::view(&pair[1]));
    runs.windows(2).map(step).collect()
}
