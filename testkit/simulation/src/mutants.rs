//! Hunts for bugs planted on purpose: what finds none of them proves nothing.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use mainstay_clock::planted;
pub use mainstay_clock::planted::Bug;

use crate::{Settings, run};

/// What came of a hunt.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "read by hand")]
pub struct Hunt {
    /// The bug; none = the run without one, which nothing may catch.
    pub bug: Option<Bug>,
    /// How many seeds were run, the one that failed included.
    pub seeds: u64,
    /// In how many of them the bug's place was come by at all.
    pub reached: u64,
    /// The first seed that failed, and by what.
    pub caught: Option<Catch>,
}

/// How a bug was caught.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "read by hand")]
pub struct Catch {
    /// The seed.
    pub seed: u64,
    /// What did not hold, most telling first.
    pub by: Vec<String>,
    /// The report.
    pub report: String,
}

struct State {
    reached: u64,
    caught: Option<Catch>,
}

/// Runs the seeds 0, 1, 2 … with a bug until one fails, at most so many; `done` is told of each.
pub fn hunt(bug: Option<Bug>, seeds: u64, threads: usize, done: &(impl Fn() + Sync)) -> Hunt {
    let next = AtomicU64::new(0);
    // No seed from here on is of interest: a lower one has failed.
    let end = AtomicU64::new(seeds);
    let state = Mutex::new(State {
        reached: 0,
        caught: None,
    });
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        break;
                    }
                    let (caught, reached) = one(bug, seed);
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.reached += u64::from(reached);
                    if let Some(caught) = caught
                        && state.caught.as_ref().is_none_or(|known| seed < known.seed)
                    {
                        state.caught = Some(caught);
                        end.fetch_min(seed, Ordering::Relaxed);
                    }
                    drop(state);
                    done();
                }
            });
        }
    });
    let State { reached, caught } = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    Hunt {
        bug,
        seeds: caught.as_ref().map_or(seeds, |caught| caught.seed + 1),
        reached,
        caught,
    }
}

fn one(bug: Option<Bug>, seed: u64) -> (Option<Catch>, bool) {
    planted::choose(bug);
    let ended = catch_unwind(AssertUnwindSafe(|| run(seed, &Settings::new())));
    let reached = planted::reached() > 0;
    planted::choose(None);
    let caught = match ended {
        Ok(report) if !report.has_failed() => None,
        Ok(report) => Some(Catch {
            seed,
            by: names(&report.violations),
            report: report.to_string(),
        }),
        Err(_) => Some(Catch {
            seed,
            by: vec!["panic".to_owned()],
            report: String::new(),
        }),
    };
    (caught, reached)
}

/// What did not hold, each once: a run that asks in its midst may tell the same thing again at its end.
fn names(violations: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for violation in violations {
        let name = name(violation);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The invariant that a violation names.
fn name(violation: &str) -> String {
    let line = violation.lines().next().unwrap_or_default();
    let name = line.strip_prefix("not so: ").unwrap_or(line);
    name.split(';').next().unwrap_or_default().to_owned()
}
