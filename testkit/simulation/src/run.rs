//! One seed.

use std::{fmt, sync::Arc};

use mainstay_inbox::Parking;
use mainstay_messaging::Publisher;
use mainstay_outbox::RelayStore;

use crate::{Plan, Report, shop::Shop};

/// How seeds are run.
#[derive(Clone, Debug)]
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

/// What stands between engines and their ports: nothing, unless a fault of a port is to be found.
pub trait Adapters: fmt::Debug + Send + Sync {
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

impl Adapters for () {}

/// The faults of a seed of the standard scenario.
#[must_use]
pub fn planned(seed: u64) -> Plan {
    Shop::of(seed).plan()
}

/// Runs the standard scenario with a seed, on this thread. The same seed and settings give the same report.
#[must_use]
pub fn run(seed: u64, settings: &Settings) -> Report {
    let shop = Shop::of(seed);
    let mut plan = shop.plan();
    if let Some(places) = &settings.keep {
        plan = plan.keep(places);
    }
    shop.run(plan, settings)
}
