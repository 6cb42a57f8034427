//! `cargo xtask services`: private servers for tests, which stay until they are told to go.

mod place;
mod postgres;
mod redis;
mod service;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;
use serde::{Deserialize, Serialize};

pub(crate) use place::Place;
pub(crate) use postgres::POSTGRES;
pub(crate) use redis::REDIS;
pub(crate) use service::{Server, Service};

/// All that `up` starts.
const SERVICES: [&Service; 2] = [&POSTGRES, &REDIS];

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Starts private servers on free ports of 127.0.0.1 and prints their URLs; a second `up` finds the first.
    Up {
        /// The major version of PostgreSQL.
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

pub(crate) fn run(command: Command) -> Result<()> {
    let place = Place::of_workspace()?;
    match command {
        Command::Up { postgres } => up(&place, postgres),
        Command::Down => SERVICES.iter().try_for_each(|service| {
            let name = service.name;
            if service.down(&place)? {
                println!("{name}: stopped, its data removed");
            } else {
                println!("{name}: was not running");
            }
            Ok(())
        }),
        Command::Status => {
            let servers = SERVICES.map(|service| service.status(&place));
            let servers = serde_json::to_string_pretty(&servers);
            println!("{}", servers?);
            Ok(())
        }
    }
}

/// A server that cannot be had keeps no other from being started.
fn up(place: &Place, postgres: Option<u32>) -> Result<()> {
    let mut missing = Vec::new();
    for service in SERVICES {
        match service.server(place, postgres, true) {
            Ok(Server { running, .. }) => {
                println!("{}={}", running.variable, running.url.unwrap_or_default());
            }
            Err(why) => missing.push(format!("there is no {}: {why:#}", service.title)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!(missing.join("\n"))
}
