//! What must hold of a history, one function per invariant.
//!
//! They know neither processes nor databases: whoever has a [`History`] can ask them.

mod delivery;
mod ownership;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::History;

pub use delivery::{
    each_published_once, effects_once_in_order, first_deliveries_in_commit_order, no_phantom,
    nothing_lost, outbox_drained,
};
pub use ownership::{fences_rise, removals_by_owners};

/// An invariant that does not hold, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    invariant: &'static str,
    cases: Vec<String>,
}

/// What a checker says.
pub type Verdict = Result<(), Violation>;

/// A checker.
pub type Check = fn(&History) -> Verdict;

/// What must hold whatever happened.
pub const ALWAYS: &[Check] = &[
    nothing_lost,
    no_phantom,
    first_deliveries_in_commit_order,
    effects_once_in_order,
    outbox_drained,
    fences_rise,
    removals_by_owners,
];

/// Every violation of what must hold [always](ALWAYS).
#[must_use]
pub fn violations(history: &History) -> Vec<Violation> {
    let verdicts = ALWAYS.iter().map(|check| check(history));
    verdicts.filter_map(Result::err).collect()
}

impl Violation {
    /// The invariant holds where there is no case against it.
    fn of(invariant: &'static str, cases: impl IntoIterator<Item = String>) -> Verdict {
        let cases: Vec<String> = cases.into_iter().collect();
        if cases.is_empty() {
            return Ok(());
        }
        Err(Self { invariant, cases })
    }

    /// What does not hold.
    #[must_use]
    pub const fn invariant(&self) -> &'static str {
        self.invariant
    }

    /// Where it does not hold, in words.
    #[must_use]
    pub fn cases(&self) -> &[String] {
        &self.cases
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        write!(f, "not so: {}; {} cases", self.invariant, self.cases.len())?;
        for case in self.cases.iter().take(SHOWN) {
            write!(f, "\n  {case}")?;
        }
        if self.cases.len() > SHOWN {
            write!(f, "\n  …")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}
