//! `simulation seeds` and `simulation soak`: many seeds, a line that says how far they are, and what failed.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use mainstay_clock::{IdGenerator as _, SystemIds};
use mainstay_simulation::{Failure, Report, Settings, Tally, campaign, corpus, shrink};
use serde_json::json;

#[derive(clap::Args)]
pub(super) struct Seeds {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many.
    #[arg(long, default_value_t = 1_000)]
    count: u64,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Soak {
    /// For how long.
    #[arg(long)]
    minutes: u64,
    /// The first seed; without it somewhere nobody has been before.
    #[arg(long)]
    from: Option<u64>,
    /// Prints one JSON object at the end.
    #[arg(long)]
    json: bool,
}

/// Of how many failures the shortest plan is sought.
const SHRUNK: usize = 3;

impl Seeds {
    /// True if a seed failed.
    pub(super) fn run(&self) -> bool {
        let seeds = self.from..self.from.saturating_add(self.count);
        all(seeds, Duration::MAX, self.json)
    }
}

impl Soak {
    /// True if a seed failed.
    pub(super) fn run(&self) -> bool {
        let from = self.from;
        let from = from.unwrap_or_else(|| SystemIds::new().random() >> 16);
        let time = Duration::from_secs(self.minutes.saturating_mul(60));
        all(from..u64::MAX, time, self.json)
    }
}

fn all(seeds: Range<u64>, time: Duration, json: bool) -> bool {
    let (begun, told, from) = (Instant::now(), AtomicU64::new(0), seeds.start);
    let (pace, start, end) = if stderr().is_terminal() {
        (1, "\r", "\x1b[K")
    } else {
        (30, "", "\n")
    };
    let done = |tally: &Tally, _: &Report| {
        let took = begun.elapsed();
        if told.fetch_max(took.as_secs() / pace, Ordering::Relaxed) < took.as_secs() / pace {
            let line = format!("{start}{}{end}", summary(tally, took));
            // Whoever closed it does not want to know.
            drop(stderr().write_all(line.as_bytes()));
        }
        took < time
    };
    let seeds = corpus().into_iter().chain(seeds);
    let tally = campaign(seeds, threads(), &Settings::default(), &done);
    let took = begun.elapsed();
    let shrunk = tally.failures.iter().take(SHRUNK).cloned();
    let shrunk: Vec<Failure> = shrunk.map(shrink).collect();
    for failure in &shrunk {
        eprintln!("\n{failure}");
    }
    for report in tally.failures.iter().skip(SHRUNK) {
        eprintln!("FAILED: {report}");
    }
    if json {
        println!("{}", as_json(&tally, &shrunk, from, took));
    } else {
        for (kind, times) in &tally.kinds {
            println!("  {times:>9}  {kind}");
        }
        println!("from {from}: {}", summary(&tally, took));
    }
    !tally.failures.is_empty()
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

fn rate(tally: &Tally, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let seeds = tally.seeds as f64;
    seeds / took.as_secs_f64()
}

fn summary(tally: &Tally, took: Duration) -> String {
    format!(
        "{} seeds in {:.1} s, {:.0} a second, {} failed; {} messages, {} faults struck, at least {} and {} a seed",
        tally.seeds,
        took.as_secs_f64(),
        rate(tally, took),
        tally.failures.len(),
        tally.messages,
        tally.faults,
        tally.fewest_messages.unwrap_or(0),
        tally.fewest_faults.unwrap_or(0),
    )
}

fn as_json(tally: &Tally, shrunk: &[Failure], from: u64, took: Duration) -> serde_json::Value {
    let failures = tally.failures.iter().map(|report| {
        let shrunk = shrunk.iter().find(|f| f.report.seed == report.seed);
        json!({
            "seed": report.seed,
            "violations": report.violations,
            "shortest_plan": shrunk.map(|failure| &failure.places),
            "again": shrunk.map(Failure::command),
        })
    });
    let mut json = json!(tally);
    json["from"] = json!(from);
    json["threads"] = json!(threads());
    json["corpus"] = json!(corpus().len());
    json["seconds"] = json!(took.as_secs_f64());
    json["seeds_per_second"] = json!(rate(tally, took));
    json["failed"] = json!(tally.failures.len());
    json["failures"] = failures.collect();
    json
}
