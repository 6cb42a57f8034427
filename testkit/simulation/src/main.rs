//! `simulation`: runs seeds of the standard scenario.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line program that says how long it took"
)]

mod seeding;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

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
        Command::Seeds(options) => Ok(options.run()),
        Command::Soak(options) => Ok(options.run()),
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

fn one(seed: u64, plan: Option<&str>, trace: bool) -> Result<bool, String> {
    let keep = plan.map(|plan| places(seed, plan)).transpose()?;
    let settings = Settings {
        keep,
        trace,
        ..Settings::default()
    };
    let report = run(seed, &settings);
    let lines = report.trace.iter().map(|line| format!("{line}\n"));
    let text = lines.collect::<String>() + &report.to_string();
    // Whoever closed the pipe has read enough.
    drop(io::stdout().write_all(text.as_bytes()));
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
