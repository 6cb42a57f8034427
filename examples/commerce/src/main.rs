//! The commerce application: eight services and a gateway, wired by the pattern crates only, in one
//! process or several.

mod cli;
mod client;
mod config;
mod deferred;
mod demand;
mod demo;
mod dlq;
mod error;
mod load;
mod migrate;
mod operator;
mod output;
mod reset;
mod sagas;
mod serve;
mod telemetry;
mod verify;

use std::{io::Write, num::NonZero, process::ExitCode, thread::available_parallelism};

use clap::Parser;
use cli::{Cli, Command};
use commerce_chassis::ON_A_SERVER;
use error::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // `--help` and `--version`.
        Err(asked) if !asked.use_stderr() => {
            return asked
                .print()
                .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
        Err(wrong) => return fail(&misused(&wrong)),
    };
    run(cli).unwrap_or_else(|failure| fail(&failure))
}

/// Every failure is one line.
fn fail(failure: &Failure) -> ExitCode {
    // stderr may be closed.
    drop(writeln!(std::io::stderr(), "commerce: {failure}"));
    ExitCode::from(failure.exit_code())
}

/// The first paragraph of clap's error; usage and tips follow it.
fn misused(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let wrong = text.split("\n\n").next().unwrap_or(&text);
    let words: Vec<&str> = wrong
        .trim_start_matches("error: ")
        .split_whitespace()
        .collect();
    Failure::plain(format!("{}; see --help", words.join(" "))).unanswered()
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if !ON_A_SERVER {
        // SQLite works on threads of its own, and leaves half of the cores to these.
        let cores = available_parallelism().map_or(1, NonZero::get);
        runtime.worker_threads(cores.div_ceil(2));
    }
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| Failure::new("the runtime cannot be started", &error))?;
    match cli.command {
        None => runtime.block_on(serve::run(cli.serve)),
        Some(Command::Serve(arguments)) => runtime.block_on(serve::run(arguments)),
        Some(Command::Verify(arguments)) => runtime.block_on(verify::run(arguments)),
        Some(Command::Load(arguments)) => runtime.block_on(load::run(arguments)),
        Some(Command::Demo(arguments)) => runtime.block_on(demo::run(arguments)),
        Some(Command::Dlq(arguments)) => runtime.block_on(dlq::run(arguments)),
        Some(Command::Outbox(arguments)) => runtime.block_on(deferred::run(arguments)),
        Some(Command::Saga(arguments)) => runtime.block_on(sagas::run(arguments)),
        Some(Command::Services) => {
            output::print(&config::SERVICES.join("\n")).map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Reset(arguments)) => reset::run(arguments),
        Some(Command::Migrate(arguments)) => runtime.block_on(migrate::run(arguments)),
    }
}
