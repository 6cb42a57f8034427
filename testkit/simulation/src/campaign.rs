//! Many seeds, on all cores.

use std::{collections::BTreeMap, thread};

use parking_lot::Mutex;
use serde::Serialize;

use crate::run::{Report, Settings, run};

/// The result of many seeds.
#[derive(Clone, Default, Debug, Serialize)]
#[non_exhaustive]
pub struct Tally {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many messages were committed.
    pub messages: usize,
    /// How many faults took effect.
    pub faults: usize,
    /// The fewest messages of a seed.
    pub fewest_messages: Option<usize>,
    /// The fewest faults that took effect in a seed.
    pub fewest_faults: Option<usize>,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u128,
    /// How many events there were.
    pub events: u64,
    /// How many times each kind of fault took effect.
    pub kinds: BTreeMap<String, u64>,
    /// How many seeds failed.
    pub failed: u64,
    /// The reports of the seeds that failed, in the order of their start.
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

/// Runs seeds on this many threads. Calls `done` with each report; if it returns false, the campaign
/// ends once the seeds that were started have ended.
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

/// Seeds that found a bug, or a mutant that few seeds find. Run them first.
///
/// A seed means the same run only until the scenario changes. Therefore each bug also has a test and
/// a mutant of its own.
#[must_use]
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
