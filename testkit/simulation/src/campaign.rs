//! Many seeds, on all cores.

use std::{collections::BTreeMap, thread};

use parking_lot::Mutex;
use serde::Serialize;

use crate::{Report, Settings, run};

/// What came of many seeds.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Tally {
    /// Seeds that were run.
    pub seeds: u64,
    /// Messages that were committed.
    pub messages: usize,
    /// Faults that struck.
    pub faults: usize,
    /// The fewest messages of a seed.
    pub fewest_messages: Option<usize>,
    /// The fewest faults that struck in a seed.
    pub fewest_faults: Option<usize>,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u128,
    /// What happened.
    pub events: u64,
    /// How often each kind of fault struck.
    pub kinds: BTreeMap<String, u64>,
    /// Seeds that failed.
    pub failed: u64,
    /// What came of the seeds that failed, in the order in which they were begun.
    #[serde(skip)]
    pub failures: Vec<Report>,
}

impl Tally {
    fn add(&mut self, report: &Report) {
        let fewest = |known: Option<usize>, new| Some(known.map_or(new, |known| known.min(new)));
        self.seeds += 1;
        self.messages += report.messages;
        self.faults += report.faults();
        self.fewest_messages = fewest(self.fewest_messages, report.messages);
        self.fewest_faults = fewest(self.fewest_faults, report.faults());
        self.simulated_ms += report.simulated.as_millis();
        self.events += report.events;
        for (fault, times) in report.plan.faults.iter().zip(&report.struck) {
            if *times > 0 {
                *self.kinds.entry(fault.kind()).or_default() += 1;
            }
        }
        self.failed += u64::from(report.has_failed());
    }
}

/// Runs seeds on so many threads. `done` is told of each seed; if it answers false, no more are begun.
pub fn campaign(
    seeds: impl IntoIterator<Item = u64, IntoIter: Send>,
    threads: usize,
    settings: &Settings,
    done: &(impl Fn(&Tally, &Report) -> bool + Sync),
) -> Tally {
    let seeds = Mutex::new(Some(seeds.into_iter().enumerate()));
    let total = Mutex::new((Tally::default(), Vec::new()));
    let next = || seeds.lock().as_mut()?.next();
    let work = || {
        while let Some((nth, seed)) = next() {
            let report = run(seed, settings);
            let mut total = total.lock();
            let (tally, failures) = &mut *total;
            tally.add(&report);
            if !done(tally, &report) {
                *seeds.lock() = None;
            }
            if report.has_failed() {
                failures.push((nth, report));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let (mut tally, mut failures) = total.into_inner();
    failures.sort_by_key(|(nth, _)| *nth);
    tally.failures = failures.into_iter().map(|(_, report)| report).collect();
    tally
}

/// Seeds that found bugs, or mutants that few seeds find: they are run first. A change of what is drawn
/// changes what a seed means; the mutant of a bug then finds another seed.
pub fn corpus() -> Vec<u64> {
    let lines = include_str!("../corpus.txt").lines();
    let seeds = lines.filter_map(|line| line.split('#').next()?.trim().parse().ok());
    seeds.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_is_a_seed_and_says_why() {
        for line in include_str!("../corpus.txt").lines() {
            if let Some((seed, why)) = line.split_once('#') {
                let seed = seed.trim();
                assert!(seed.is_empty() || seed.parse::<u64>().is_ok(), "{line}");
                assert!(!why.trim().is_empty(), "{line}");
            } else {
                assert!(line.is_empty(), "{line:?} does not say why");
            }
        }
    }
}
