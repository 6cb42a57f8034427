//! One seed of the standard scenario, and its report.

use std::{fmt, sync::Arc, time::Duration};

use mainstay_messaging::Publisher;
use mainstay_outbox::store::RelayStore;

use crate::{Plan, Rng, Sim, sagas::Sagas, scenario::play, shop::Shop};

/// How seeds are run.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests write it as a literal")]
pub struct Settings {
    /// The indices of the faults to keep of the seed's plan; `None` keeps all.
    pub keep: Option<Vec<usize>>,
    /// Whether to write a trace.
    pub trace: bool,
    /// Adapters between the engines and their ports.
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

/// Adapters between the engines and their ports: none, except to inject a mutant.
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

/// What is played with a seed.
enum Scenario {
    Shop(Shop),
    Sagas(Sagas),
}

impl Scenario {
    fn of(seed: u64) -> Self {
        if Rng::new(seed, "sagas or shop").one_in(4) {
            Self::Sagas(Sagas::of(seed))
        } else {
            Self::Shop(Shop::of(seed))
        }
    }

    fn plan(&self) -> Plan {
        match self {
            Self::Shop(shop) => shop.plan(),
            Self::Sagas(sagas) => sagas.plan(),
        }
    }

    fn set_adapters(&mut self, adapters: &Arc<dyn Adapters>) {
        let mine = match self {
            Self::Shop(shop) => &mut shop.adapters,
            Self::Sagas(sagas) => &mut sagas.adapters,
        };
        *mine = Arc::clone(adapters);
    }
}

/// The plan of a seed of the standard scenario.
#[must_use]
pub fn planned(seed: u64) -> Plan {
    Scenario::of(seed).plan()
}

/// Runs the standard scenario with a seed, on this thread. The same seed and settings give the
/// same report.
#[must_use]
pub fn run(seed: u64, settings: &Settings) -> Report {
    let mut scenario = Scenario::of(seed);
    scenario.set_adapters(&settings.adapters);
    let mut plan = scenario.plan();
    if let Some(places) = &settings.keep {
        plan = plan.keep(places);
    }
    let sim = match Sim::planned(seed, plan) {
        Ok(sim) => sim,
        Err(error) => {
            return Report {
                seed,
                violations: vec![error.to_string()],
                ..Report::default()
            };
        }
    };
    sim.world.report.lock().trace = settings.trace.then(Vec::new);
    let violations = play(&sim, async {
        let played = match &scenario {
            Scenario::Shop(shop) => shop.play(&sim).await,
            Scenario::Sagas(sagas) => sagas.play(&sim).await,
        };
        played.unwrap_or_else(|error| vec![format!("the scenario itself failed: {error}")])
    });
    let mut report = std::mem::take(&mut *sim.world.report.lock());
    report.violations = violations;
    report
}

/// The result of one seed.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The faults.
    pub plan: Plan,
    /// How many times each of them took effect.
    pub struck: Vec<u32>,
    /// How many messages were committed.
    pub messages: usize,
    /// How many calls of ports and other events there were.
    pub events: u64,
    /// A hash of all events: equal in each run of the same seed and plan.
    pub hash: u64,
    /// How much simulated time passed.
    pub simulated: Duration,
    /// The violations.
    pub violations: Vec<String>,
    /// All events as texts, if the settings ask for a trace.
    pub trace: Option<Vec<String>>,
}

impl Report {
    /// Whether there is a violation.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.violations.is_empty()
    }

    /// The names of the violated invariants, each once.
    #[must_use]
    pub fn invariants(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for violation in &self.violations {
            let line = violation.lines().next().unwrap_or_default();
            let name = line.strip_prefix("violated: ").unwrap_or(line);
            let name = name.split(';').next().unwrap_or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// How many faults of the plan took effect, each counted once.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.struck.iter().filter(|times| **times > 0).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} messages, {} of {} faults took effect, {} events, {:.1} s simulated, hash {:016x}",
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
            writeln!(f, "{place:>4}  {fault}; took effect {times} times")?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        Ok(())
    }
}
