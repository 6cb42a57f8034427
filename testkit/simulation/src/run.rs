//! One seed.

use std::{fmt, sync::Arc};

use mainstay_inbox::Parking;
use mainstay_messaging::Publisher;
use mainstay_outbox::RelayStore;

use crate::{Plan, Report, shop::Shop};

/// What stands between engines and their ports: nothing, unless a fault of a port is to be found.
pub trait Adapters: fmt::Debug + Send + Sync + 'static {
    /// Between a relay and its publisher.
    fn publisher(&self, sound: Arc<dyn Publisher>) -> Arc<dyn Publisher> {
        sound
    }

    /// Between a relay and its store.
    fn store(&self, sound: Arc<dyn RelayStore>) -> Arc<dyn RelayStore> {
        sound
    }

    /// Between a worker and what it does with a message that it cannot handle.
    fn parking(&self, sound: Arc<dyn Parking>) -> Arc<dyn Parking> {
        sound
    }
}

/// Nothing stands between.
impl Adapters for () {}

/// How seeds are run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Of the seed's plan only the faults at these places; none = all of them.
    pub keep: Option<Vec<usize>>,
    /// Whether to write down what happens.
    pub trace: bool,
    /// What stands between engines and their ports.
    pub adapters: Arc<dyn Adapters>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: None,
            trace: false,
            adapters: Arc::new(()),
        }
    }
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

    /// Puts these between engines and their ports.
    #[must_use]
    pub fn adapters(mut self, adapters: impl Adapters) -> Self {
        self.adapters = Arc::new(adapters);
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
    shop.run(plan, settings)
}
