//! What a run of a case found.

use std::fmt;

use serde::Serialize;

/// What a run of a case found.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Report {
    /// Which protocol.
    pub model: &'static str,
    /// What happens in it, or which rule it goes without.
    pub case: String,
    /// The guarantee that must break without the rule; none = all rules and guarantees hold.
    pub breaks: Option<&'static str>,
    /// States, each counted once.
    pub states: usize,
    /// Steps of the longest of the shortest ways to a state.
    pub depth: usize,
    /// Whether every state that can be reached was looked at.
    pub complete: bool,
    /// How long it took.
    pub seconds: f64,
    /// What would show that the run is not vacuous, and did not happen.
    pub missed: Vec<&'static str>,
    /// Guarantees that do not hold.
    pub broken: Vec<Broken>,
}

/// A guarantee that does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// The guarantee.
    pub property: &'static str,
    /// One of the shortest ways there: each step, and the state after it.
    pub steps: Vec<(String, String)>,
}

impl Report {
    /// Whether all holds and was reached; or, with a rule less, its guarantee is broken.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        match self.breaks {
            Some(property) => self.broken.iter().any(|b| b.property == property),
            None => self.broken.is_empty() && self.missed.is_empty(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.is_as_expected(), self.breaks) {
            (true, None) => "holds",
            (true, Some(_)) => "breaks, as it must",
            (false, None) => "DOES NOT HOLD",
            (false, Some(_)) => "HOLDS WITHOUT THE RULE",
        };
        write!(f, "{} {}: {verdict}; ", self.model, self.case)?;
        let whole = if self.complete { "all " } else { "" };
        write!(f, "{whole}{} states, depth {}", self.states, self.depth)?;
        write!(f, ", {:.1} s", self.seconds)?;
        for Broken { property, steps } in &self.broken {
            write!(f, "\n  broken in {} steps: {property}", steps.len())?;
        }
        for missed in &self.missed {
            if self.breaks.is_none() {
                write!(f, "\n  never happened: {missed}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken: {}", self.property)?;
        let widths = self.steps.iter().map(|(step, _)| step.len());
        let width = widths.max().unwrap_or_default();
        for (at, (step, state)) in (1..).zip(&self.steps) {
            writeln!(f, "{at:>3}  {step:width$}  {state}")?;
        }
        Ok(())
    }
}
