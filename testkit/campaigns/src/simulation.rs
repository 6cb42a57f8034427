//! `simulation`: runs seeds of the standard scenario.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line program that says how long it took"
)]

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use clap::Parser;
use mainstay_clock::{IdGenerator as _, SystemIds};
use mainstay_simulation::standard::{
    Report, Settings, Tally, campaign, corpus, planned, run, shrink,
};
use serde_json::json;

#[derive(Parser)]
enum Command {
    /// Runs the corpus and many seeds on all cores, and prints what came of them as JSON.
    Seeds {
        /// The first seed.
        #[arg(long)]
        from: Option<u64>,
        /// The number of seeds.
        #[arg(long, default_value_t = 1_000)]
        count: u64,
        /// For how long, instead of a number of seeds; without `--from`, from a random seed.
        #[arg(long)]
        minutes: Option<u64>,
    },
    /// Runs one seed and prints what happened.
    Seed {
        /// The seed.
        seed: u64,
        /// Only these faults of its plan, as in 3,7; or none of them.
        #[arg(long, num_args = 0.., value_delimiter = ',')]
        plan: Option<Vec<usize>>,
        /// Prints every event.
        #[arg(long)]
        trace: bool,
    },
}

/// The exit code of clap for wrong arguments. A seed that fails has another one.
const MISUSED: u8 = 2;
/// For how many failures to search the shortest plan.
const SHRUNK: usize = 3;

fn main() -> ExitCode {
    let failed = match Command::parse() {
        Command::Seeds {
            from,
            count,
            minutes: None,
        } => many(from.unwrap_or(0), count, Duration::MAX),
        Command::Seeds { from, minutes, .. } => {
            let from = from.unwrap_or_else(|| SystemIds::new().random() >> 16);
            let time = Duration::from_secs(minutes.unwrap_or(0).saturating_mul(60));
            many(from, u64::MAX, time)
        }
        Command::Seed { seed, plan, trace } => {
            let faults = planned(seed).faults.len();
            if plan.iter().flatten().any(|place| *place >= faults) {
                eprintln!("the plan of seed {seed} has {faults} faults, from 0");
                return ExitCode::from(MISUSED);
            }
            one(seed, plan, trace)
        }
    };
    ExitCode::from(u8::from(failed))
}

/// True if the seed failed.
fn one(seed: u64, keep: Option<Vec<usize>>, trace: bool) -> bool {
    let settings = Settings {
        keep,
        trace,
        ..Settings::default()
    };
    let report = run(seed, &settings);
    let mut lines = report.trace.clone().unwrap_or_default();
    lines.push(report.to_string());
    // A reader that closed the pipe has read enough.
    drop(stdout().write_all(lines.join("\n").as_bytes()));
    report.has_failed()
}

/// True if a seed failed.
fn many(from: u64, count: u64, time: Duration) -> bool {
    let (begun, told) = (Instant::now(), AtomicU64::new(0));
    let done = |tally: &Tally, _: &Report| {
        let seconds = begun.elapsed().as_secs();
        if told.fetch_max(seconds / 30, Ordering::Relaxed) < seconds / 30 {
            let Tally { seeds, failed, .. } = tally;
            eprintln!("{seeds} seeds in {seconds} s, {failed} failed");
        }
        begun.elapsed() < time
    };
    let seeds = corpus().into_iter().chain(from..from.saturating_add(count));
    let threads = available_parallelism().map_or(1, Into::into);
    let tally = campaign(seeds, threads, &Settings::default(), &done);
    let seconds = begun.elapsed().as_secs_f64();
    let mut failures = Vec::new();
    for (nth, report) in tally.failures.iter().enumerate() {
        let failure = if nth < SHRUNK {
            shrink(report)
        } else {
            format!("FAILED: {report}")
        };
        eprintln!("\n{failure}");
        failures.push(failure);
    }
    let mut told = json!(tally);
    told["from"] = json!(from);
    told["threads"] = json!(threads);
    told["corpus"] = json!(corpus().len());
    told["seconds"] = json!(seconds);
    told["failures"] = json!(failures);
    println!("{told:#}");
    !failures.is_empty()
}
