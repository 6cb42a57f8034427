//! `commerce serve`.

mod application;
mod banner;
mod connections;
mod console;
mod front;
mod host;
mod insight;
mod jwks;
mod limits;
mod pages;
mod presence;
mod readiness;
mod server;
mod traffic;

use std::{io::Write, path::Path, process::ExitCode, sync::Arc, time::Duration};

use commerce_chassis::{Access, Deployment, Error, Service, Storage};
use mainstay_clock::SystemIds;
use tokio::{net::TcpListener, signal, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{Secret, ServeArguments},
    config::Config,
    error::Failure,
    telemetry::{self, Metrics},
};

use application::Application;
pub(crate) use console::ACTS;
pub(crate) use limits::Limits;
pub(crate) use presence::{Absence, Presence, is_running};
use traffic::Readers;

/// Time for open requests to end, and then for background work.
const DRAIN: Duration = Duration::from_secs(8);

pub(crate) async fn run(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let config = Config::read(arguments)?;
    let telling = telemetry::start(&config)?;
    let metrics = Metrics::collect()?;
    let mut signals = Signals::listen()?;
    // First of all: if the port is taken, nothing is written.
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Failure::new(format!("cannot listen on {}", config.listen), &error))?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::new("cannot listen", &error))?;
    let application = Application::start(&config).await?;
    let readiness = application.readiness();
    let Application {
        front,
        services,
        insight,
        mut tasks,
        shutdown,
        ..
    } = application;
    let pages = pages::router()
        .merge(readiness.router())
        .merge(insight.guard(metrics.router()));
    tokio::spawn(metrics.keep_up(shutdown.clone()));
    let closing = CancellationToken::new();
    let ready = services
        .clone()
        .merge(pages::router())
        .merge(readiness.router());
    let console = console::router(&config, &ready, &insight, &closing);
    let people = pages::people(&front.clone().merge(console), &readiness, &closing);
    let front = commerce_gateway::shell(front.merge(people), Arc::new(SystemIds::new()));
    let router = pages.merge(limits::limited(front, config.limits));
    let mut router = pages::with_fallbacks(router);
    if config.access == Access::Open {
        router = host::of_this_machine(router);
    }
    let readers = Readers::default();
    router = readers.noting(router);

    let serving = server::serve(listener, router, config.limits, closing.clone());
    let mut server = tokio::spawn(serving);
    banner::show(&config, address);
    announce(address)?;
    let customers = config
        .traffic
        .filter(|_| config.services.contains(&"order"))
        .map(|every| tokio::spawn(traffic::run(services, every, readers, closing.clone())));

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
    telling.end();
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

/// What some services need to know.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How long stock is held for an order that is not confirmed.
    pub(crate) hold: Duration,
    /// None = the seeded users do not log in.
    pub(crate) seed_password: Option<Secret>,
    pub(crate) notification: commerce_notification::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hold: commerce_inventory::HOLD,
            seed_password: None,
            notification: commerce_notification::Settings::default(),
        }
    }
}

/// Opens services by name; no task runs yet. If one cannot start, the log is closed.
pub(crate) async fn open(
    deployment: &Deployment,
    names: &[&'static str],
    settings: &Settings,
) -> Result<Vec<Service>, Failure> {
    let opened = Box::pin(open_each(deployment, names, settings)).await;
    if opened.is_err() {
        deployment.close().await;
    }
    opened
}

async fn open_each(
    deployment: &Deployment,
    names: &[&'static str],
    settings: &Settings,
) -> Result<Vec<Service>, Failure> {
    let seed_password = settings.seed_password.as_ref().map(|it| &*it.0);
    let mut services = Vec::new();
    for name in names {
        let opened = match *name {
            "order" => commerce_order::open(deployment).await,
            "inventory" => commerce_inventory::open(deployment, settings.hold).await,
            "payment" => Box::pin(commerce_payment::open(deployment)).await,
            "shipping" => commerce_shipping::open(deployment).await,
            "catalog" => commerce_catalog::open(deployment).await,
            "identity" => commerce_identity::open(deployment, seed_password).await,
            "notification" => commerce_notification::open(deployment, &settings.notification).await,
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
