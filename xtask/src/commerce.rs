//! `cargo xtask commerce`: the application as many processes, on private servers.

mod process;
mod state;

use std::{
    fs,
    process::{Command as Program, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    services::{self, Place, Server, Service},
    steps::CARGO,
    workspace::{ON_SERVERS, Workspace},
};
use process::{Build, Process, Run, Settings};
use state::State;

/// The process that serves the routes of all services: the gateway.
const FRONT: &str = "front";

#[derive(Clone, Subcommand)]
pub(crate) enum Command {
    /// Builds the application, starts the servers that are missing, a process for each service and the gateway, and
    /// prints how to reach them. A second `up` starts what has ended since, and anew what shall run otherwise.
    ///
    /// Standard output has what other commands of the application read: `export $(cargo xtask commerce up)`.
    Up(Up),
    /// Stops all processes, and the servers that `up` started.
    Down,
    /// Prints what runs, as JSON.
    Status,
}

#[derive(Clone, Args)]
pub(crate) struct Up {
    /// Processes of each service.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    replicas: u8,
    /// Orders per second of the built-in customers, as 5/s, or off.
    #[arg(long, value_name = "N/s|off", default_value = "off")]
    traffic: String,
    /// Builds with optimizations.
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(command: Command) -> Result<()> {
    let home = Workspace::read()?.root.join("target/commerce");
    fs::create_dir_all(&home).with_context(|| home.to_string())?;
    // Two runs at once take turns.
    let lock = fs::File::create(home.join("lock"))?;
    lock.lock()?;
    match command {
        Command::Up(wanted) => up(&home, &wanted),
        Command::Down => down(&home),
        Command::Status => status(&home),
    }
}

fn up(home: &Utf8PathBuf, wanted: &Up) -> Result<()> {
    let build = build(home, wanted.release)?;
    let mut state = State::read(home)?;
    let settings = servers(home, &mut state)?;
    let run = |arguments| Run {
        build: build.clone(),
        settings: settings.clone(),
        arguments,
    };
    let names = names(&build.program)?;
    let services = services_of(&names, wanted);
    let services = services.map(|(name, arguments)| (name, run(arguments)));
    let services: Vec<Wanted> = services.collect();
    stop_unwanted(home, &mut state, &services)?;
    start_missing(home, &mut state, services)?;
    // It has to know where they are.
    let front = run(front(&names, &state));
    start_missing(home, &mut state, vec![(FRONT.to_owned(), front)])?;
    show(&state, &settings, &build.program);
    Ok(())
}

/// A process by its name, and what it is to run.
type Wanted = (String, Run);

/// Stops those that are no more to run, such as the second process of each service.
fn stop_unwanted(home: &Utf8PathBuf, state: &mut State, services: &[Wanted]) -> Result<()> {
    let is_wanted = |process: &Process| {
        process.name == FRONT || services.iter().any(|(name, _)| *name == process.name)
    };
    stop_all(state.processes.iter().filter(|it| !is_wanted(it)))?;
    state.processes.retain(is_wanted);
    state.write(home)
}

/// Starts those that do not run, each where it was before, and anew those that run something else;
/// returns when all are ready.
fn start_missing(home: &Utf8PathBuf, state: &mut State, wanted: Vec<Wanted>) -> Result<()> {
    let running = |(name, _): &Wanted| {
        let mut processes = state.processes.iter();
        processes.find(|it| it.name == *name && it.runs())
    };
    let is_outdated =
        |wanted: &Wanted| running(wanted).filter(|it| it.run.as_ref() != Some(&wanted.1));
    let outdated: Vec<&Process> = wanted.iter().filter_map(is_outdated).collect();
    for process in &outdated {
        eprintln!(
            "{}: runs an older program or other settings; started anew",
            process.name
        );
    }
    stop_all(outdated)?;
    let mut started = Vec::new();
    for (name, run) in wanted {
        let before = state.processes.iter().find(|it| it.name == name);
        if before.is_some_and(Process::runs) {
            continue;
        }
        let address = before.and_then(Process::address).unwrap_or("127.0.0.1:0");
        let process = Process::start(home, &name, address, run)?;
        // Written before it is ready: `down` stops it in any case.
        state.put(process.clone());
        state.write(home)?;
        started.push(process);
    }
    let ready = thread::scope(|scope| {
        let waiting: Vec<_> = (started.iter())
            .map(|process| scope.spawn(|| process.ready()))
            .collect();
        let ready = waiting.into_iter().map(|waiting| match waiting.join() {
            Ok(ready) => ready,
            Err(_) => bail!("a thread panicked"),
        });
        ready.collect::<Vec<Result<Process>>>()
    });
    for process in ready {
        state.put(process?);
    }
    state.write(home)
}

/// Stops processes, all at once.
fn stop_all<'a>(processes: impl IntoIterator<Item = &'a Process>) -> Result<()> {
    let stuck: Vec<&str> = thread::scope(|scope| {
        let stopping: Vec<_> = (processes.into_iter())
            .map(|process| (process, scope.spawn(|| process.stop())))
            .collect();
        let stuck = stopping.into_iter().filter_map(|(process, stopping)| {
            let is_gone = stopping.join().unwrap_or(false);
            (!is_gone).then_some(&*process.name)
        });
        stuck.collect()
    });
    ensure!(stuck.is_empty(), "does not end: {}", stuck.join(", "));
    Ok(())
}

/// Builds the program, and keeps it from later builds of the other form.
fn build(home: &Utf8PathBuf, release: bool) -> Result<Build> {
    let workspace = Workspace::read()?;
    let mut cargo = Program::new(CARGO);
    cargo
        .arg("build")
        .args(workspace.program("commerce")?)
        .args(["--features", ON_SERVERS])
        .args(release.then_some("--release"))
        .stdout(Stdio::null());
    let built = cargo.status().context("cargo does not start")?;
    ensure!(built.success(), "the application does not build: {built}");
    let profile = if release { "release" } else { "debug" };
    let (program, kept) = (
        workspace.target.join(profile).join("commerce"),
        home.join("program"),
    );
    let new = home.join("program.new");
    // A build that changes nothing keeps it.
    let built = fs::metadata(&program).and_then(|it| it.modified());
    let built = built.with_context(|| program.to_string())?;
    // Under another name first: the one that is there may be running.
    fs::copy(&program, &new).with_context(|| program.to_string())?;
    fs::rename(&new, &kept)?;
    Ok(Build {
        program: kept,
        at: built,
    })
}

/// Starts the servers, and says by which settings the application finds them.
fn servers(home: &Utf8PathBuf, state: &mut State) -> Result<Settings> {
    let place = Place::of_workspace()?;
    let were_there = services::each(|service| Ok(service.status(&place)));
    let mut settings = vec![("COMMERCE_DATA".to_owned(), home.join("data").into_string())];
    let found = services::each(|service| service.server(&place, None, true));
    let mut wrong = Vec::new();
    for ((service, found), (_, before)) in found.into_iter().zip(were_there) {
        match found {
            Ok(Server { running, .. }) => {
                let is_new = before.is_ok_and(|before| before.url().is_none());
                if is_new && !state.servers.contains(&service.name.to_owned()) {
                    state.servers.push(service.name.to_owned());
                }
                let url = running.url().unwrap_or_default().to_owned();
                settings.push((setting(service)?.to_owned(), url));
            }
            Err(why) => wrong.push(format!("there is no {}: {why:#}", service.title)),
        }
    }
    state.write(home)?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(settings)
}

/// Which setting of the application names the server.
fn setting(service: &Service) -> Result<&'static str> {
    match service.name {
        "postgres" => Ok("COMMERCE_POSTGRES"),
        "redis" => Ok("COMMERCE_REDIS_URL"),
        "kafka" => Ok("COMMERCE_KAFKA"),
        other => bail!("the application has no setting for {other}"),
    }
}

/// The services, by the application's own list.
fn names(program: &Utf8PathBuf) -> Result<Vec<String>> {
    let listed = Program::new(program).arg("services").output()?;
    let listed = String::from_utf8(listed.stdout).context("the list of services")?;
    ensure!(!listed.is_empty(), "the application lists no services");
    Ok(listed.lines().map(str::to_owned).collect())
}

/// The processes of services, with their arguments.
fn services_of(names: &[String], wanted: &Up) -> impl Iterator<Item = (String, Vec<String>)> {
    let numbered = names.iter().flat_map(|name| {
        (1..=wanted.replicas).map(move |number| match number {
            1 => (name, name.clone()),
            _ => (name, format!("{name}-{number}")),
        })
    });
    numbered.map(|(name, process)| {
        let has_customers = process == "order";
        let traffic = if has_customers {
            &*wanted.traffic
        } else {
            "off"
        };
        let arguments = ["--service", name, "--traffic", traffic];
        (process, arguments.map(str::to_owned).to_vec())
    })
}

/// The arguments of the gateway before all processes of each service.
fn front(names: &[String], state: &State) -> Vec<String> {
    let upstreams = state.processes.iter().filter_map(|process| {
        let service = names.iter().find(|name| is_of(process, name))?;
        Some([
            "--upstream".to_owned(),
            format!("{service}={}", process.url()),
        ])
    });
    let upstreams = upstreams.flatten();
    let arguments = ["--service", "gateway", "--traffic", "off"];
    arguments
        .map(str::to_owned)
        .into_iter()
        .chain(upstreams)
        .collect()
}

/// Whether a process is the first of a service, or another one: `order` and `order-2` are of `order`.
fn is_of(process: &Process, service: &str) -> bool {
    let rest = process.name.strip_prefix(service);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn show(state: &State, settings: &Settings, program: &Utf8PathBuf) {
    for process in &state.processes {
        let Process { name, pid, .. } = process;
        eprintln!(
            "{name:<14} {}  process {pid}, log {}",
            process.url(),
            process.log
        );
    }
    let target = state.processes.iter().find(|it| it.name == FRONT);
    let target = target.map(|front| ("COMMERCE_TARGET".to_owned(), front.url().to_owned()));
    for (name, value) in settings.iter().cloned().chain(target) {
        println!("{name}={value}");
    }
    eprintln!(
        "\nwith these lines in the environment: {program} verify --settle 30; {program} load; {program} demo happy-path"
    );
}

fn down(home: &Utf8PathBuf) -> Result<()> {
    let state = State::read(home)?;
    stop_all(&state.processes)?;
    let place = Place::of_workspace()?;
    for (service, down) in services::each(|service| {
        let ours = state.servers.iter().any(|name| name == service.name);
        Ok(ours && service.down(&place)?)
    }) {
        if down? {
            println!("{}: stopped, its data removed", service.name);
        }
    }
    let (count, data) = (state.processes.len(), home.join("data"));
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| data.to_string())?;
    }
    State::forget(home)?;
    println!("commerce: {count} processes stopped");
    Ok(())
}

fn status(home: &Utf8PathBuf) -> Result<()> {
    let state = State::read(home)?;
    let place = Place::of_workspace()?;
    let mut servers = Vec::new();
    for (_, server) in services::each(|service| Ok(service.status(&place))) {
        servers.push(server?);
    }
    let processes: Vec<_> = (state.processes.iter())
        .map(|process| {
            json!({
                "name": process.name,
                "pid": process.pid,
                "running": process.runs(),
                "url": process.url(),
                "log": process.log,
            })
        })
        .collect();
    let status = json!({"processes": processes, "servers": servers});
    println!("{}", serde_json::to_string_pretty(&status)?);
    Ok(())
}
