//! `simulation`: runs seeds of the standard scenario.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line program that says how long it took"
)]

#[cfg(mainstay_planted)]
mod hunting;

use std::{process::ExitCode, thread, time::Instant};

use clap::{Parser, Subcommand};
use mainstay_simulation::{Campaign, Settings, campaign, run};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds on all cores.
    Seeds {
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        count: u64,
    },
    /// Hunts for each of the bugs planted on purpose.
    #[cfg(mainstay_planted)]
    Mutants(hunting::Options),
    /// Runs one seed and says what happened.
    Seed {
        /// The seed.
        seed: u64,
        /// Only these faults of its plan.
        #[arg(long, value_delimiter = ',')]
        plan: Option<Vec<usize>>,
        /// Prints every event.
        #[arg(long)]
        trace: bool,
    },
}

fn main() -> ExitCode {
    let failed = match Arguments::parse().command {
        Command::Seeds { from, count } => seeds(from, count),
        #[cfg(mainstay_planted)]
        Command::Mutants(options) => hunting::all(&options),
        Command::Seed { seed, plan, trace } => one(seed, plan, trace),
    };
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn one(seed: u64, plan: Option<Vec<usize>>, trace: bool) -> bool {
    let mut settings = Settings::new();
    settings.keep = plan;
    settings.trace = trace;
    let report = run(seed, &settings);
    for line in &report.trace {
        println!("{line}");
    }
    println!("{report}");
    report.has_failed()
}

fn seeds(from: u64, count: u64) -> bool {
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let begun = Instant::now();
    let seeds = Campaign {
        from,
        count,
        threads,
    };
    let tally = campaign(&seeds, &Settings::new(), &|report| {
        if report.has_failed() {
            eprintln!("{report}");
        }
        true
    });
    let took = begun.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = tally.seeds as f64 / took.as_secs_f64();
    println!(
        "{} seeds in {:.1} s, {rate:.0} a second on {threads} threads; {} messages (at least {} a seed), {} faults struck (at least {}), {} events, {} s simulated, {} failed",
        tally.seeds,
        took.as_secs_f64(),
        tally.messages,
        tally.fewest_messages,
        tally.faults,
        tally.fewest_faults,
        tally.events,
        tally.simulated_ms / 1_000,
        tally.failures.len(),
    );
    for (kind, times) in &tally.kinds {
        println!("  {kind}: {times}");
    }
    !tally.failures.is_empty()
}
