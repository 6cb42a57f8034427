//! `cargo xtask services`: private servers for tests, which stay until they are told to go.

mod place;
mod postgres;

use std::path::PathBuf;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

pub(crate) use place::Place;
pub(crate) use postgres::{Server, server};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Starts a private PostgreSQL on a free port of 127.0.0.1 and prints its URL; a second `up` finds the first.
    Up {
        /// The major version.
        #[arg(long)]
        postgres: Option<u32>,
        /// Prints all that is known of the servers.
        #[arg(long)]
        json: bool,
    },
    /// Stops what `up` started and removes its data.
    Down,
    /// Shows what runs.
    Status {
        /// Prints all that is known of the servers.
        #[arg(long)]
        json: bool,
    },
}

/// A server, as its state file and `--json` have it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Running {
    service: String,
    /// The environment variable that carries its URL to the tests.
    variable: String,
    /// Missing until the server answered: then it does not run, or is being started.
    url: Option<String>,
    /// Whose server it is, or what it was started from.
    found: String,
    version: Option<String>,
    pid: Option<u32>,
    port: Option<u16>,
    /// The directory of the instance.
    data: Option<PathBuf>,
    /// The directory of its programs.
    binaries: Option<PathBuf>,
    log: Option<PathBuf>,
}

pub(crate) fn run(command: &Command) -> Result<(), String> {
    let place = Place::of_workspace()?;
    match *command {
        Command::Up { postgres, json } => {
            let running = postgres::up(&place, postgres)?;
            if json {
                return print_json(&[running]);
            }
            println!("{}={}", running.variable, running.url.unwrap_or_default());
        }
        Command::Down => {
            let stopped = postgres::down(&place)?;
            let outcome = if stopped {
                "stopped, its data removed"
            } else {
                "was not running"
            };
            println!("postgres: {outcome}");
        }
        Command::Status { json } => {
            let running = postgres::status(&place);
            if json {
                return print_json(&[running]);
            }
            let Running {
                service,
                found,
                url,
                version,
                pid,
                port,
                ..
            } = running;
            let Some(url) = url else {
                println!("{service}: not running");
                return Ok(());
            };
            let version = version.unwrap_or_else(|| "of unknown version".to_owned());
            println!("{service} {version} ({found}): {url}");
            if let (Some(pid), Some(port)) = (pid, port) {
                println!("process {pid}, port {port}");
            }
        }
    }
    Ok(())
}

fn print_json(servers: &[Running]) -> Result<(), String> {
    let text = serde_json::to_string_pretty(servers).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
