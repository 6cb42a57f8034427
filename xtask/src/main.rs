//! `cargo xtask …`: the project's chores.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

mod commerce;
mod mutants;
mod prove;
mod report;
mod services;
mod steps;
mod suites;
mod workspace;

use std::process::ExitCode;

use clap::{
    Parser, Subcommand,
    builder::{PossibleValue, PossibleValuesParser},
};

use report::{Run, Step};

/// The project's chores. CONTRIBUTING.md lists the environment variables.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks everything that must hold before a change lands; CI runs exactly this.
    ///
    /// It ends with a table of steps and suites, the suites that did not run, and the line "N passed, N
    /// failed". The exit code is 0 only if every step succeeded.
    Test {
        /// Runs only this step; may be repeated.
        #[arg(long, value_name = "STEP", value_parser = names(steps::FIRST.iter().chain(steps::SECOND)))]
        only: Vec<String>,
    },
    /// Runs the checks that take hours, and writes target/prove/report.md.
    Prove {
        /// Which of them; without any, all.
        #[arg(value_parser = names(prove::PARTS.iter()))]
        parts: Vec<String>,
        /// Hunts for this mutant only.
        #[arg(long, value_name = "MUTANT")]
        only: Option<String>,
    },
    /// Manages private servers for tests. Their logs are in target/services.
    Services {
        #[command(subcommand)]
        command: services::Command,
    },
    /// Runs the example application as many processes on private servers.
    Commerce {
        #[command(subcommand)]
        command: commerce::Command,
    },
    /// Runs seeds of the simulation: `simulate seed 7 --trace`, `simulate seeds --minutes 60`.
    #[command(disable_help_flag = true)]
    Simulate {
        /// What the simulation's own program is told; see `simulate --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn names(steps: impl Iterator<Item = &'static Step>) -> PossibleValuesParser {
    PossibleValuesParser::new(steps.map(|step| PossibleValue::new(step.name).help(step.what)))
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test { only } => {
            report::run(steps::FIRST, steps::SECOND, &only, Run::default()).end()
        }
        Command::Prove { parts, only } => prove::run(&parts, only),
        Command::Services { command } => services::run(command),
        Command::Commerce { command } => commerce::run(command),
        Command::Simulate { arguments } => prove::simulate(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
