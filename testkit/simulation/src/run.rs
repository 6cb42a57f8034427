//! One seed.

use crate::{Plan, Report, shop::Shop};

/// How seeds are run.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Of the seed's plan only the faults at these places; none = all of them.
    pub keep: Option<Vec<usize>>,
    /// Whether to write down what happens.
    pub trace: bool,
}

impl Settings {
    /// All faults, nothing written down.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of the seed's plan only the faults at these places.
    #[must_use]
    pub fn keep(mut self, places: Vec<usize>) -> Self {
        self.keep = Some(places);
        self
    }

    /// Writes down what happens.
    #[must_use]
    pub const fn trace(mut self) -> Self {
        self.trace = true;
        self
    }
}

/// The faults of a seed of the standard scenario.
#[must_use]
pub fn planned(seed: u64) -> Plan {
    Shop::of(seed).plan()
}

/// Runs the standard scenario with a seed, on this thread. The same seed and settings give the same report.
#[must_use]
pub fn run(seed: u64, settings: &Settings) -> Report {
    let shop = Shop::of(seed);
    let plan = planned(seed);
    let plan = match &settings.keep {
        Some(places) => plan.keep(places),
        None => plan,
    };
    shop.run(plan, settings.trace)
}
