//! `cargo xtask services`: private servers for tests, which stay until they are told to go.

mod place;
mod postgres;

use std::path::PathBuf;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

pub(crate) use place::Place;
pub(crate) use postgres::{Server, server};

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Starts a private PostgreSQL on a free port of 127.0.0.1 and prints its URL; a second `up` finds the first.
    Up {
        /// The major version.
        #[arg(long)]
        postgres: Option<u32>,
    },
    /// Stops what `up` started and removes its data.
    Down,
    /// Prints what runs, as JSON.
    Status,
}

/// A server, as its state file and `services status` have it.
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

pub(crate) fn run(command: Command) -> Result<(), String> {
    let place = Place::of_workspace()?;
    match command {
        Command::Up { postgres } => {
            let Server { running, .. } = server(&place, postgres, true)?;
            println!("{}={}", running.variable, running.url.unwrap_or_default());
        }
        Command::Down if postgres::down(&place)? => println!("postgres: stopped, its data removed"),
        Command::Down => println!("postgres: was not running"),
        Command::Status => {
            let servers = serde_json::to_string_pretty(&[postgres::status(&place)]);
            println!("{}", servers.map_err(|error| error.to_string())?);
        }
    }
    Ok(())
}
