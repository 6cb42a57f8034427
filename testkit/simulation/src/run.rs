//! One seed, and what comes of it.

use std::{fmt, sync::Arc, time::Duration};

use mainstay_messaging::Publisher;
use mainstay_outbox::store::RelayStore;

use crate::{Plan, shop::Shop};

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
}

impl Adapters for () {}

/// The faults of a seed of the standard scenario.
pub fn planned(seed: u64) -> Plan {
    Shop::of(seed).plan()
}

/// Runs the standard scenario on this thread. The same seed and settings give the same report.
pub fn run(seed: u64, settings: &Settings) -> Report {
    let shop = Shop::of(seed);
    let mut plan = shop.plan();
    if let Some(places) = &settings.keep {
        plan = plan.keep(places);
    }
    shop.run(plan, settings)
}

/// What came of the run of one seed.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The faults.
    pub plan: Plan,
    /// How often each of them struck.
    pub struck: Vec<u32>,
    /// Messages that were committed.
    pub messages: usize,
    /// Calls of ports and other things that happened.
    pub events: u64,
    /// The same in each run of the same seed and plan.
    pub hash: u64,
    /// How much time went by in the simulated world.
    pub simulated: Duration,
    /// What must hold and does not.
    pub violations: Vec<String>,
    /// What happened, in words, if it was asked for.
    pub trace: Option<Vec<String>>,
}

impl Report {
    /// Whether anything did not hold.
    pub fn has_failed(&self) -> bool {
        !self.violations.is_empty()
    }

    /// The names of what did not hold, each once.
    pub fn invariants(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for violation in &self.violations {
            let line = violation.lines().next().unwrap_or_default();
            let name = line.strip_prefix("not so: ").unwrap_or(line);
            let name = name.split(';').next().unwrap_or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// How many faults of the plan struck, each counted once.
    pub fn faults(&self) -> usize {
        self.struck.iter().filter(|times| **times > 0).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} messages, {} of {} faults struck, {} events, {:.1} s simulated, hash {:016x}",
            self.seed,
            self.messages,
            self.faults(),
            self.plan.faults.len(),
            self.events,
            self.simulated.as_secs_f64(),
            self.hash,
        )?;
        for (place, fault) in self.plan.faults.iter().enumerate() {
            let times = self.struck.get(place).copied().unwrap_or(0);
            writeln!(f, "{place:>4}  {fault}; struck {times}")?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        Ok(())
    }
}
