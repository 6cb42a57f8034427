//! `simulation seeds` and `simulation soak`: many seeds, a line that says how far they are, and what failed.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use mainstay_clock::{IdGenerator as _, SystemIds};
use mainstay_simulation::{Campaign, Failure, Settings, Tally, campaign, corpus, run, shrink};
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

/// How many runs may go into the shortest plan of one failure.
const TRIES: u32 = 300;
/// Of how many failures the shortest plan is sought.
const SHRUNK: usize = 3;

/// True if a seed failed.
pub(super) fn seeds(options: &Seeds) -> bool {
    all(options.from, options.count, None, options.json)
}

/// True if a seed failed.
pub(super) fn soak(options: &Soak) -> bool {
    let from = options
        .from
        .unwrap_or_else(|| SystemIds::new().random() >> 16);
    let time = Duration::from_secs(options.minutes.saturating_mul(60));
    all(from, u64::MAX - from, Some(time), options.json)
}

fn all(from: u64, count: u64, time: Option<Duration>, json: bool) -> bool {
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let begun = Instant::now();
    let mut tally = Tally::default();
    for seed in corpus() {
        tally.add(run(seed, &Settings::new()));
    }
    let known = tally.seeds;
    let [seeds, faults, failures, told] = [0; 4].map(AtomicU64::new);
    let watched = stderr().is_terminal();
    let done = |report: &mainstay_simulation::Report| {
        let now = seeds.fetch_add(1, Ordering::Relaxed) + 1;
        faults.fetch_add(report.faults() as u64, Ordering::Relaxed);
        failures.fetch_add(u64::from(report.has_failed()), Ordering::Relaxed);
        let took = begun.elapsed();
        let seconds = took.as_secs() / if watched { 1 } else { 30 };
        if told.fetch_max(seconds, Ordering::Relaxed) < seconds {
            let (start, end) = if watched {
                ("\r", "\x1b[K")
            } else {
                ("", "\n")
            };
            let line = format!(
                "{start}{now} seeds, {:.0} a second, {} faults struck, {} failed{end}",
                rate(now, took),
                faults.load(Ordering::Relaxed),
                failures.load(Ordering::Relaxed),
            );
            // Whoever closed it does not want to know.
            drop(stderr().write_all(line.as_bytes()));
        }
        time.is_none_or(|time| took < time)
    };
    let seeds_to_run = Campaign {
        from,
        count,
        threads,
    };
    tally.join(campaign(&seeds_to_run, &Settings::new(), &done));
    let took = begun.elapsed();
    if watched {
        eprintln!();
    }
    let shrunk = tally.failures.iter().take(SHRUNK).cloned();
    let shrunk: Vec<Failure> = shrunk.map(|report| shrink(report, TRIES)).collect();
    for failure in &shrunk {
        eprintln!("{failure}");
    }
    for report in tally.failures.iter().skip(SHRUNK) {
        eprintln!("FAILED: {report}");
    }
    if json {
        println!("{}", as_json(&tally, &shrunk, (from, known, threads), took));
    } else {
        print(&tally, (from, known, threads), took);
    }
    !tally.failures.is_empty()
}

fn rate(seeds: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let seeds = seeds as f64;
    seeds / took.as_secs_f64()
}

fn print(tally: &Tally, (from, known, threads): (u64, u64, usize), took: Duration) {
    for (kind, times) in &tally.kinds {
        println!("  {times:>9}  {kind}");
    }
    println!(
        "{} seeds (from {from}, and {known} of the corpus) in {:.1} s on {threads} threads, {:.0} a second",
        tally.seeds,
        took.as_secs_f64(),
        rate(tally.seeds, took)
    );
    println!(
        "{} messages, at least {} a seed; {} faults struck, at least {} a seed; {} events; {} hours simulated",
        tally.messages,
        tally.fewest_messages,
        tally.faults,
        tally.fewest_faults,
        tally.events,
        tally.simulated_ms / 3_600_000,
    );
    println!("{} seeds failed", tally.failures.len());
}

fn as_json(
    tally: &Tally,
    shrunk: &[Failure],
    (from, known, threads): (u64, u64, usize),
    took: Duration,
) -> serde_json::Value {
    let failures = tally.failures.iter().map(|report| {
        let shrunk = shrunk.iter().find(|f| f.report.seed == report.seed);
        json!({
            "seed": report.seed,
            "violations": report.violations,
            "shortest_plan": shrunk.map(|failure| &failure.places),
            "again": shrunk.map(Failure::command),
        })
    });
    json!({
        "seeds": tally.seeds,
        "from": from,
        "corpus": known,
        "threads": threads,
        "seconds": took.as_secs_f64(),
        "seeds_per_second": rate(tally.seeds, took),
        "messages": tally.messages,
        "fewest_messages": tally.fewest_messages,
        "faults": tally.faults,
        "fewest_faults": tally.fewest_faults,
        "kinds": tally.kinds,
        "events": tally.events,
        "simulated_ms": tally.simulated_ms,
        "failed": tally.failures.len(),
        "failures": failures.collect::<Vec<_>>(),
    })
}
