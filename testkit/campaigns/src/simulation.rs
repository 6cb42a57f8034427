//! `simulation`: runs seeds of the standard scenario.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line program that says how long it took"
)]

use std::{
    io::{IsTerminal as _, Write as _, stderr, stdout},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use clap::Parser;
use mainstay_clock::{IdGenerator as _, SystemIds};
use mainstay_simulation::standard::{
    Failure, Report, Settings, Tally, campaign, corpus, planned, run, shrink,
};
use serde_json::json;

#[derive(Parser)]
enum Command {
    /// Runs the corpus and many seeds on all cores.
    #[command(alias = "soak")]
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
        /// Prints one JSON object at the end.
        #[arg(long)]
        json: bool,
    },
    /// Runs one seed and prints what happened.
    Seed {
        /// The seed.
        seed: u64,
        /// Only these faults of its plan, as in 3,7; or none.
        #[arg(long)]
        plan: Option<String>,
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
            minutes,
            json,
        } => {
            let somewhere = || minutes.map_or(0, |_| SystemIds::new().random() >> 16);
            let from = from.unwrap_or_else(somewhere);
            let count = minutes.map_or(count, |_| u64::MAX);
            let time = minutes.map_or(Duration::MAX, |minutes| {
                Duration::from_secs(minutes.saturating_mul(60))
            });
            Ok(many(from, count, time, json))
        }
        Command::Seed { seed, plan, trace } => one(seed, plan.as_deref(), trace),
    };
    match failed {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(MISUSED)
        }
    }
}

/// True if the seed failed.
fn one(seed: u64, plan: Option<&str>, trace: bool) -> Result<bool, String> {
    let keep = plan.map(|plan| places(seed, plan)).transpose()?;
    let settings = Settings {
        keep,
        trace,
        ..Settings::default()
    };
    let report = run(seed, &settings);
    let lines = report
        .trace
        .iter()
        .flatten()
        .map(|line| format!("{line}\n"));
    let text = lines.collect::<String>() + &report.to_string();
    // A closed pipe means that the reader has read enough.
    drop(stdout().write_all(text.as_bytes()));
    Ok(report.has_failed())
}

fn places(seed: u64, plan: &str) -> Result<Vec<usize>, String> {
    let faults = planned(seed).faults.len();
    let places = plan.split(',').filter(|place| *place != "none");
    let place = |place: &str| match place.trim().parse::<usize>() {
        Ok(place) if place < faults => Ok(place),
        Ok(_) => Err(format!(
            "--plan {plan}: the plan of seed {seed} has {faults} faults, from 0"
        )),
        Err(error) => Err(format!("--plan {plan}: {error}")),
    };
    places.map(place).collect()
}

/// True if a seed failed.
fn many(from: u64, count: u64, time: Duration, json: bool) -> bool {
    let (begun, told) = (Instant::now(), AtomicU64::new(0));
    let (pace, start, end) = if stderr().is_terminal() {
        (1, "\r", "\x1b[K")
    } else {
        (30, "", "\n")
    };
    let done = |tally: &Tally, _: &Report| {
        let took = begun.elapsed();
        if told.fetch_max(took.as_secs() / pace, Ordering::Relaxed) < took.as_secs() / pace {
            let line = format!("{start}{}{end}", summary(tally, took));
            // If it is closed, nobody wants to know.
            drop(stderr().write_all(line.as_bytes()));
        }
        took < time
    };
    let seeds = from..from.saturating_add(count);
    let threads = available_parallelism().map_or(1, Into::into);
    let seeds = corpus().into_iter().chain(seeds);
    let tally = campaign(seeds, threads, &Settings::default(), &done);
    let took = begun.elapsed();
    let mut failures = Vec::new();
    for (nth, report) in tally.failures.iter().enumerate() {
        let shrunk = (nth < SHRUNK).then(|| shrink(report.clone()));
        match &shrunk {
            Some(shrunk) => eprintln!("\n{shrunk}"),
            None => eprintln!("FAILED: {report}"),
        }
        failures.push(json!({
            "seed": report.seed,
            "violations": report.violations,
            "shortest_plan": shrunk.as_ref().map(|shrunk| &shrunk.places),
            "again": shrunk.as_ref().map(Failure::command),
        }));
    }
    if json {
        let mut summary = json!(tally);
        summary["from"] = json!(from);
        summary["threads"] = json!(threads);
        summary["corpus"] = json!(corpus().len());
        summary["seconds"] = json!(took.as_secs_f64());
        summary["failures"] = json!(failures);
        println!("{summary}");
    } else {
        for (kind, times) in &tally.kinds {
            println!("  {times:>9}  {kind}");
        }
        println!("from {from}: {}", summary(&tally, took));
    }
    !failures.is_empty()
}

fn summary(tally: &Tally, took: Duration) -> String {
    format!(
        "{} seeds in {} s, {} failed; {} messages, {} faults took effect, at least {} and {} a seed",
        tally.seeds,
        took.as_secs(),
        tally.failed,
        tally.messages,
        tally.faults,
        tally.fewest_messages.unwrap_or(0),
        tally.fewest_faults.unwrap_or(0),
    )
}
