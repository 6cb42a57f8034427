//! `commerce serve`.

mod banner;
mod connections;
mod limits;
mod pages;
mod presence;
mod server;
mod traffic;

use std::{
    io::{IsTerminal as _, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use commerce_chassis::{Deployment, Error, Service, Storage};
use tokio::{net::TcpListener, signal, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    prelude::*,
};

use crate::{cli::ServeArguments, config::Config, error::Failure};

pub(crate) use limits::Limits;
pub(crate) use presence::{Presence, is_running};

/// Time for open requests to end, and then for background work.
const DRAIN: Duration = Duration::from_secs(8);

pub(crate) async fn run(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let config = Config::read(arguments)?;
    log()?;
    let mut signals = Signals::listen()?;
    // First of all: if the port is taken, nothing is written.
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Failure::new(format!("cannot listen on {}", config.listen), &error))?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::new("cannot listen", &error))?;
    check_log(&config.storage, &config.services).await?;
    create(config.storage.data())?;
    let _presence = Presence::announce(config.storage.data())?;

    let deployment = open_log(config.storage.clone()).await?;
    let deployment = deployment.operators(config.operators.clone());
    let shutdown = deployment.shutdown().clone();
    let mut services = axum::Router::new();
    let mut health = Vec::new();
    let mut tasks = JoinSet::new();
    for service in open(&deployment, &config.services, config.hold).await? {
        services = services.merge(service.router);
        health.push(service.health);
        for (task, work) in service.tasks {
            let name = service.name;
            tasks.spawn(async move {
                work.await.map_err(|error| {
                    Failure::new(format!("the {task} of the {name} service ended"), &error)
                })
            });
        }
    }
    let pages = pages::router().merge(pages::readiness(&health));
    let closing = CancellationToken::new();
    let people = pages::people(&services, &health, &closing);
    let router = pages.merge(limits::limited(services.clone().merge(people), config.limits));
    let router = pages::with_fallbacks(router);

    let serving = server::serve(listener, router, config.limits, closing.clone());
    let mut server = tokio::spawn(serving);
    banner::show(&config, address);
    announce(address)?;
    let customers = config
        .traffic
        .filter(|_| config.services.contains(&"order"))
        .map(|every| tokio::spawn(traffic::run(services, every, closing.clone())));

    let outcome = tokio::select! {
        () = signals.next() => Ok(()),
        failure = first_failure(&mut tasks) => Err(failure),
        ended = &mut server => Err(Failure::plain(format!("the server ended: {ended:?}"))),
    };
    tokio::spawn(exit_on_next(signals));
    // Stop in the order of the flow: requests first, then background work.
    closing.cancel();
    if tokio::time::timeout(DRAIN, &mut server).await.is_err() {
        tracing::warn!("open requests did not end in time and were cut off");
        server.abort();
    }
    if let Some(customers) = customers {
        customers.abort();
    }
    shutdown.cancel();
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(ended) = tasks.join_next().await {
            if let Ok(Err(failure)) = ended {
                tracing::warn!(%failure, "background work failed during shutdown");
            }
        }
    });
    if drained.await.is_err() {
        // The next start redoes it.
        tracing::warn!("background work did not end in time and was cut off");
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Opens the log of a deployment.
pub(crate) async fn open_log(storage: Storage) -> Result<Deployment, Failure> {
    let place = storage.log().to_string();
    let opened = Deployment::open(storage).await;
    opened.map_err(|error| Failure::new(format!("the log {place} cannot be opened"), &error))
}

/// Refuses a log that a database is not bound to, before anything is created or migrated. Other
/// errors are left to the services, which cannot start either.
pub(crate) async fn check_log(storage: &Storage, names: &[&'static str]) -> Result<(), Failure> {
    match commerce_chassis::check_log(storage, names).await {
        Err(error @ Error::WrongLog { service, .. }) => Err(cannot_start(service, &error)),
        _ => Ok(()),
    }
}

fn cannot_start(service: &str, error: &Error) -> Failure {
    Failure::new(format!("the {service} service cannot start"), error)
}

/// Opens services by name; no task runs yet. If one cannot start, the log is closed.
pub(crate) async fn open(
    deployment: &Deployment,
    names: &[&'static str],
    hold: Duration,
) -> Result<Vec<Service>, Failure> {
    let opened = open_each(deployment, names, hold).await;
    if opened.is_err() {
        deployment.close().await;
    }
    opened
}

async fn open_each(
    deployment: &Deployment,
    names: &[&'static str],
    hold: Duration,
) -> Result<Vec<Service>, Failure> {
    let mut services = Vec::new();
    for name in names {
        let opened = match *name {
            "order" => commerce_order::open(deployment).await,
            "inventory" => commerce_inventory::open(deployment, hold).await,
            "payment" => commerce_payment::open(deployment).await,
            "shipping" => commerce_shipping::open(deployment).await,
            "catalog" => commerce_catalog::open(deployment).await,
            "identity" => commerce_identity::open(deployment).await,
            "notification" => commerce_notification::open(deployment, &commerce_notification::Settings::default()).await,
            _ => commerce_analytics::open(deployment).await,
        };
        services.push(opened.map_err(|error| cannot_start(name, &error))?);
    }
    for service in &mut services {
        let bound = service.log_binding.bind().await;
        bound.map_err(|error| cannot_start(service.name, &error))?;
    }
    Ok(services)
}

/// Creates the data directory if it is missing.
pub(crate) fn create(data: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(data).map_err(|error| {
        Failure::new(
            format!("the data directory {} cannot be created", data.display()),
            &error,
        )
    })
}

/// `COMMERCE_LOG`: a level, or levels by module.
fn log() -> Result<(), Failure> {
    let wanted = std::env::var("COMMERCE_LOG").unwrap_or_else(|_| "warn".to_owned());
    // `Targets` takes a lone word for a module, and logs all of it.
    let is_level = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    let levels: Targets = wanted
        .parse()
        .ok()
        .filter(|_| wanted.split(',').all(is_level))
        .ok_or_else(|| {
            Failure::plain(format!(
                "COMMERCE_LOG {wanted:?}: expected a level, such as info, or MODULE=LEVEL,…"
            ))
        })?;
    let mut lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        lines = lines.with_ansi(false);
    }
    tracing_subscriber::registry()
        .with(lines.with_filter(levels))
        .init();
    Ok(())
}

/// Prints the line that scripts wait for.
fn announce(address: std::net::SocketAddr) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "ready http://{address}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::new("cannot print the ready line", &error))
}

async fn first_failure(tasks: &mut JoinSet<Result<(), Failure>>) -> Failure {
    match tasks.join_next().await {
        Some(Ok(Err(failure))) => failure,
        Some(Err(panic)) => Failure::new("a part of the service panicked", &panic),
        Some(Ok(Ok(()))) | None => Failure::plain("a part of the service ended unexpectedly"),
    }
}

/// Ctrl-C and SIGTERM, registered at the start, so that an early signal is not lost.
struct Signals {
    interrupt: signal::unix::Signal,
    terminate: signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal::unix::signal(kind)
                .map_err(|error| Failure::new("cannot listen to signals", &error))
        };
        Ok(Self {
            interrupt: listen(signal::unix::SignalKind::interrupt())?,
            terminate: listen(signal::unix::SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[expect(clippy::exit, reason = "the second signal skips the drain")]
async fn exit_on_next(mut signals: Signals) {
    signals.next().await;
    std::process::exit(130);
}
