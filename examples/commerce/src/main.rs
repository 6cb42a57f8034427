//! The commerce application: four services wired by nothing but the pattern crates, in one process or several.

mod cli;
mod config;
mod demand;
mod error;
mod load;
mod migrate;
mod serve;
mod verify;

use std::{io::Write, process::ExitCode};

use clap::Parser;
use cli::{Cli, Command};
use error::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Also the way of `--help` and `--version`.
            return match error.print() {
                Ok(()) if !error.use_stderr() => ExitCode::SUCCESS,
                _ => ExitCode::from(2),
            };
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            // One line, whatever went wrong; there is nobody to tell if stderr is gone.
            drop(writeln!(std::io::stderr(), "commerce: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("the runtime cannot be started", &error))?;
    match cli.command {
        None => runtime.block_on(serve::run(cli.serve)),
        Some(Command::Serve(arguments)) => runtime.block_on(serve::run(arguments)),
        Some(Command::Verify(arguments)) => runtime.block_on(verify::run(arguments)),
        Some(Command::Load(arguments)) => runtime.block_on(load::run(arguments)),
        Some(Command::Migrate(arguments)) => runtime.block_on(migrate::run(arguments)),
    }
}
