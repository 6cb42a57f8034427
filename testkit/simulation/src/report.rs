//! What came of a run.

use std::{fmt, time::Duration};

use crate::Plan;

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
    pub trace: Vec<String>,
}

impl Report {
    /// Whether anything did not hold.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.violations.is_empty()
    }

    /// The names of what did not hold, each once: a run may tell the same thing in its midst and at its end.
    #[must_use]
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
    #[must_use]
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
