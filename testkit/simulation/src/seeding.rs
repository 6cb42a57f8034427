//! `simulation seeds` and `simulation soak`: many seeds, a line that says how far they are, and what failed.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use mainstay_clock::{IdGenerator as _, SystemIds};
use mainstay_simulation::{Failure, Report, Settings, Tally, campaign, corpus, shrink};
use serde_json::json;

/// Which seeds to run.
#[derive(clap::Args)]
pub(super) struct Seeds {
    /// The first seed.
    #[arg(long)]
    from: Option<u64>,
    /// How many.
    #[arg(long, default_value_t = 1_000)]
    count: u64,
    /// For how long, instead of a number of seeds; without `--from` somewhere nobody has been before.
    #[arg(long)]
    minutes: Option<u64>,
    /// Prints one JSON object at the end.
    #[arg(long)]
    json: bool,
}

/// Of how many failures the shortest plan is sought.
const SHRUNK: usize = 3;

/// Runs the corpus, then these; true if a seed failed.
pub(super) fn run(options: &Seeds) -> bool {
    let (seeds, time) = if let Some(minutes) = options.minutes {
        let new = || SystemIds::new().random() >> 16;
        let from = options.from.unwrap_or_else(new);
        (
            from..u64::MAX,
            Duration::from_secs(minutes.saturating_mul(60)),
        )
    } else {
        let from = options.from.unwrap_or(0);
        (from..from.saturating_add(options.count), Duration::MAX)
    };
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
    if options.json {
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
