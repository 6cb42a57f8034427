//! Many seeds, on all cores.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread,
};

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
        if report.has_failed() {
            self.failures.push(report.clone());
        }
    }
}

/// Runs seeds on so many threads; `done` is told of each of them, and false ends the campaign once what was begun has ended.
pub fn campaign(
    seeds: impl IntoIterator<Item = u64, IntoIter: Send>,
    threads: usize,
    settings: &Settings,
    done: &(impl Fn(&Tally, &Report) -> bool + Sync),
) -> Tally {
    let seeds = Mutex::new(Some(seeds.into_iter().enumerate()));
    let total = Mutex::new((Tally::default(), BTreeMap::new()));
    let next = || {
        let mut seeds = seeds.lock().unwrap_or_else(PoisonError::into_inner);
        seeds.as_mut()?.next()
    };
    let work = || {
        while let Some((nth, seed)) = next() {
            let report = run(seed, settings);
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            let (tally, begun) = &mut *total;
            tally.add(&report);
            if report.has_failed() {
                begun.entry(seed).or_insert(nth);
            }
            if !done(tally, &report) {
                *seeds.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let (mut tally, begun) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.failures.sort_by_key(|report| begun.get(&report.seed));
    tally
}
