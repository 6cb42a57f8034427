//! `simulation`: runs seeds of the standard scenario.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line program that says how long it took"
)]

#[cfg(mainstay_planted)]
mod hunting;
mod seeding;

use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};
use mainstay_simulation::{Settings, run};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds on all cores.
    Seeds(seeding::Seeds),
    /// Runs new seeds for a while, on all cores.
    Soak(seeding::Soak),
    /// Hunts for each of the bugs planted on purpose.
    #[cfg(mainstay_planted)]
    Mutants(hunting::Options),
    /// Runs one seed and says what happened.
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

fn main() -> ExitCode {
    let failed = match Arguments::parse().command {
        #[cfg(mainstay_planted)]
        Command::Mutants(options) => hunting::all(&options),
        Command::Seeds(options) => seeding::seeds(&options),
        Command::Soak(options) => seeding::soak(&options),
        Command::Seed { seed, plan, trace } => {
            one(seed, plan.as_deref(), trace).unwrap_or_else(|error| {
                eprintln!("{error}");
                true
            })
        }
    };
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn one(seed: u64, plan: Option<&str>, trace: bool) -> Result<bool, String> {
    let mut settings = Settings::new();
    settings.trace = trace;
    settings.keep = match plan {
        None => None,
        Some("none") => Some(Vec::new()),
        Some(places) => {
            let place = |place: &str| place.trim().parse::<usize>();
            let places: Result<Vec<usize>, _> = places.split(',').map(place).collect();
            Some(places.map_err(|error| format!("--plan {plan:?}: {error}"))?)
        }
    };
    let report = run(seed, &settings);
    let text = format!("{}\n{report}\n", report.trace.join("\n"));
    // Whoever closed the pipe has read enough.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(report.has_failed())
}
