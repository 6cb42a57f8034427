//! `cargo xtask services`: private servers for tests, which stay until they are told to go.

mod postgres;
mod state;

use std::path::PathBuf;

use cargo_metadata::MetadataCommand;
use serde::Serialize;

pub(crate) use postgres::{Server, server};

/// A kind of server: one file each.
struct Service {
    name: &'static str,
    /// The variable that carries its URL to the tests.
    variable: &'static str,
    up: fn(&Place, Option<u32>) -> Result<Running, String>,
    down: fn(&Place) -> Result<bool, String>,
    status: fn(&Place) -> Option<Running>,
}

const SERVICES: &[Service] = &[postgres::SERVICE];

/// A server that answers.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub(crate) struct Running {
    pub(crate) url: String,
    /// Whose server it is, or what it was started from.
    pub(crate) found: String,
    pub(crate) version: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) port: Option<u16>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) binaries: Option<PathBuf>,
    pub(crate) log: Option<PathBuf>,
}

/// What `--json` prints of each.
#[derive(Serialize)]
struct Line {
    service: &'static str,
    variable: &'static str,
    #[serde(flatten)]
    running: Option<Running>,
}

/// Where logs and state lie: `target/services` of the checkout, so that two checkouts never share a server.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn of_workspace() -> Result<Self, String> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        let place = metadata.workspace_root.join("target").join("services");
        std::fs::create_dir_all(&place).map_err(|error| format!("{place}: {error}"))?;
        Ok(Self(place.into()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Starts what does not run yet and prints the URLs.
pub(crate) fn up(wanted: Option<u32>, json: bool) -> Result<(), String> {
    let place = Place::of_workspace()?;
    let lines = SERVICES
        .iter()
        .map(|service| {
            let running = (service.up)(&place, wanted)
                .map_err(|error| format!("{}: {error}", service.name))?;
            Ok(line(service, Some(running)))
        })
        .collect::<Result<Vec<_>, String>>()?;
    if json {
        return print_json(&lines);
    }
    for Line {
        variable, running, ..
    } in &lines
    {
        if let Some(running) = running {
            println!("{variable}={}", running.url);
        }
    }
    Ok(())
}

/// Stops what `up` started.
pub(crate) fn down() -> Result<(), String> {
    let place = Place::of_workspace()?;
    for service in SERVICES {
        let stopped =
            (service.down)(&place).map_err(|error| format!("{}: {error}", service.name))?;
        let outcome = if stopped {
            "stopped, its data removed"
        } else {
            "was not running"
        };
        println!("{}: {outcome}", service.name);
    }
    Ok(())
}

/// What runs.
pub(crate) fn status(json: bool) -> Result<(), String> {
    let place = Place::of_workspace()?;
    let lines: Vec<Line> = SERVICES
        .iter()
        .map(|service| line(service, (service.status)(&place)))
        .collect();
    if json {
        return print_json(&lines);
    }
    println!(
        "{:<10} {:<9} {:>7} {:>6}  {:<24} url",
        "service", "version", "pid", "port", "found"
    );
    for Line {
        service, running, ..
    } in lines
    {
        let Some(running) = running else {
            println!("{service:<10} not running");
            continue;
        };
        let number = |number: Option<u32>| number.map_or("-".to_owned(), |n| n.to_string());
        println!(
            "{service:<10} {:<9} {:>7} {:>6}  {:<24} {}",
            running.version.as_deref().unwrap_or("-"),
            number(running.pid),
            number(running.port.map(u32::from)),
            running.found,
            running.url,
        );
    }
    Ok(())
}

fn line(service: &Service, running: Option<Running>) -> Line {
    Line {
        service: service.name,
        variable: service.variable,
        running,
    }
}

fn print_json(lines: &[Line]) -> Result<(), String> {
    let text = serde_json::to_string_pretty(lines).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
