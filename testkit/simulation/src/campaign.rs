//! Many seeds, on all cores.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::{Report, Settings, run};

/// Which seeds to run.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by hand")]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// On how many threads.
    pub threads: usize,
}

/// What came of many seeds.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct Tally {
    /// Seeds that were run.
    pub seeds: u64,
    /// Messages that were committed.
    pub messages: u64,
    /// Faults that struck.
    pub faults: u64,
    /// The fewest messages of a seed.
    pub fewest_messages: u64,
    /// The fewest faults that struck in a seed.
    pub fewest_faults: u64,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
    /// What happened.
    pub events: u64,
    /// How often each kind of fault struck.
    pub kinds: BTreeMap<String, u64>,
    /// The seeds that failed, with what came of them.
    pub failures: Vec<Report>,
}

impl Tally {
    /// Counts a run.
    pub fn add(&mut self, report: Report) {
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let (messages, faults) = (number(report.messages), number(report.faults()));
        if self.seeds == 0 {
            (self.fewest_messages, self.fewest_faults) = (messages, faults);
        }
        self.seeds += 1;
        self.messages += messages;
        self.faults += faults;
        self.fewest_messages = self.fewest_messages.min(messages);
        self.fewest_faults = self.fewest_faults.min(faults);
        self.simulated_ms += u64::try_from(report.simulated.as_millis()).unwrap_or(u64::MAX);
        self.events += report.events;
        for (fault, times) in report.plan.faults.iter().zip(&report.struck) {
            if *times > 0 {
                *self.kinds.entry(fault.kind()).or_default() += 1;
            }
        }
        if report.has_failed() {
            self.failures.push(report);
        }
    }

    /// Counts what was counted elsewhere.
    pub fn join(&mut self, other: Self) {
        if self.seeds == 0 {
            *self = other;
            return;
        }
        if other.seeds == 0 {
            return;
        }
        self.seeds += other.seeds;
        self.messages += other.messages;
        self.faults += other.faults;
        self.fewest_messages = self.fewest_messages.min(other.fewest_messages);
        self.fewest_faults = self.fewest_faults.min(other.fewest_faults);
        self.simulated_ms += other.simulated_ms;
        self.events += other.events;
        for (kind, times) in other.kinds {
            *self.kinds.entry(kind).or_default() += times;
        }
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|report| report.seed);
    }
}

/// Runs seeds on so many threads; `done` is told of each of them, and false ends the campaign.
pub fn campaign(
    campaign: &Campaign,
    settings: &Settings,
    done: &(impl Fn(&Report) -> bool + Sync),
) -> Tally {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..campaign.threads.max(1) {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= campaign.count {
                        break;
                    }
                    let report = run(campaign.from + nth, settings);
                    let goes_on = done(&report);
                    tally.add(report);
                    if !goes_on {
                        next.store(campaign.count, Ordering::Relaxed);
                    }
                }
                total
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .join(tally);
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}
