//! `simulation`: runs seeds of the standard scenario.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line program that says how long it took"
)]

mod seeding;

use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};
use mainstay_simulation::{Settings, planned, run};

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

/// As clap ends where arguments are not right: a seed that failed is something else.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let failed = match Arguments::parse().command {
        Command::Seeds(options) => seeding::seeds(&options),
        Command::Soak(options) => seeding::soak(&options),
        Command::Seed { seed, plan, trace } => match one(seed, plan.as_deref(), trace) {
            Ok(failed) => failed,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(MISUSED);
            }
        },
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
    settings.keep = plan.map(places).transpose()?;
    let faults = planned(seed).faults.len();
    let beyond = settings
        .keep
        .iter()
        .flatten()
        .find(|place| **place >= faults);
    if let Some(place) = beyond {
        return Err(format!(
            "--plan {place}: the plan of seed {seed} has {faults} faults, from 0"
        ));
    }
    let report = run(seed, &settings);
    let mut text = report.trace.join("\n");
    if trace {
        text.push_str("\n\n");
    }
    text.push_str(&report.to_string());
    // Whoever closed the pipe has read enough.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(report.has_failed())
}

fn places(plan: &str) -> Result<Vec<usize>, String> {
    if plan == "none" {
        return Ok(Vec::new());
    }
    let place = |place: &str| place.trim().parse::<usize>();
    let places: Result<_, _> = plan.split(',').map(place).collect();
    places.map_err(|error| format!("--plan {plan}: {error}"))
}
