//! `cargo xtask services`: private servers for tests, which stay until they are told to go.

mod kafka;
mod place;
mod postgres;
mod redis;
mod service;

use std::{path::PathBuf, thread};

use anyhow::{Result, bail};
use clap::Subcommand;
use serde::{Deserialize, Serialize};

use kafka::KAFKA;
pub(crate) use place::Place;
pub(crate) use postgres::POSTGRES;
use redis::REDIS;
pub(crate) use service::{Server, Service};

/// All that `up` starts.
const SERVICES: [&Service; 3] = [&POSTGRES, &REDIS, &KAFKA];

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

impl Running {
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

pub(crate) fn run(command: Command) -> Result<()> {
    let place = Place::of_workspace()?;
    match command {
        Command::Up { postgres } => up(&place, postgres),
        Command::Down => {
            let downs = each(|service| service.down(&place));
            downs.into_iter().try_for_each(|(service, down)| {
                let name = service.name;
                if down? {
                    println!("{name}: stopped, its data removed");
                } else {
                    println!("{name}: was not running");
                }
                Ok(())
            })
        }
        Command::Status => {
            let servers = SERVICES.map(|service| service.status(&place));
            let servers = serde_json::to_string_pretty(&servers);
            println!("{}", servers?);
            Ok(())
        }
    }
}

/// Does it for all services at once, since it is waiting for the most part; answers in their order.
pub(crate) fn each<T: Send>(
    act: impl Fn(&'static Service) -> Result<T> + Sync,
) -> Vec<(&'static Service, Result<T>)> {
    let act = &act;
    thread::scope(|scope| {
        let acts = SERVICES.map(|service| (service, scope.spawn(move || act(service))));
        let ended = acts.map(|(service, act)| {
            let outcome = act.join();
            let outcome = outcome.unwrap_or_else(|_| bail!("its thread panicked"));
            (service, outcome)
        });
        ended.into()
    })
}

/// A server that cannot be had keeps no other from being started.
fn up(place: &Place, postgres: Option<u32>) -> Result<()> {
    let mut missing = Vec::new();
    for (service, server) in each(|service| service.server(place, postgres, true)) {
        match server {
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
