//! What a process tells about itself: log lines on stderr, metrics at `/metrics`, and spans.

#[cfg(feature = "otel")]
mod otlp;
#[cfg(not(feature = "otel"))]
#[path = "telemetry/plain.rs"]
mod otlp;

use std::{io::IsTerminal as _, time::Duration};

use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets, filter_fn},
    prelude::*,
};

use crate::{config::Config, error::Failure};
use otlp::Export;

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How often histograms are made shorter.
const UPKEEP: Duration = Duration::from_secs(5);

/// What is told outside of requests. End it last, so that nothing is lost.
#[derive(Debug)]
#[must_use]
pub(crate) struct Telling(Option<Export>);

/// Starts the log, and, where the collector at `otlp` gets them, the export of the spans of `config`'s
/// process. `COMMERCE_LOG`: a level, or levels by module. `COMMERCE_LOG_FORMAT=json` writes one JSON
/// object a line, with the fields of the spans around it, such as the trace of a message.
pub(crate) fn start(config: &Config) -> Result<Telling, Failure> {
    let levels = levels()?;
    let otlp = config.otlp.as_deref();
    let export = otlp.map(|url| Export::to(url, name(config))).transpose()?;
    let spans = export.as_ref().map(Export::layer);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match std::env::var("COMMERCE_LOG_FORMAT").as_deref() {
        Ok("json") => {
            // A rare line, too, says to which request or message it belongs.
            let filter = filter_fn(move |it| {
                let is_ours = it.is_span() && *it.level() <= Level::INFO;
                is_ours || levels.would_enable(it.target(), it.level())
            });
            lines.json().with_filter(filter).boxed()
        }
        Ok("text") | Err(_) => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(levels)
            .boxed(),
        Ok(other) => {
            return Err(Failure::plain(format!(
                "COMMERCE_LOG_FORMAT {other:?}: expected text or json"
            )));
        }
    };
    tracing_subscriber::registry()
        .with(spans)
        .with(lines)
        .init();
    Ok(Telling(export))
}

impl Telling {
    /// Sends what was not sent yet, for some seconds at most.
    pub(crate) fn end(self) {
        if let Some(export) = self.0 {
            export.end();
        }
    }
}

/// The process in its spans.
fn name(config: &Config) -> String {
    match &*config.services {
        [] => "commerce-gateway".to_owned(),
        [service] => format!("commerce-{service}"),
        _ => "commerce".to_owned(),
    }
}

fn levels() -> Result<Targets, Failure> {
    let wanted = std::env::var("COMMERCE_LOG").unwrap_or_else(|_| "warn".to_owned());
    // `Targets` takes a lone word for a module, and logs all of it.
    let is_level = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    wanted
        .parse()
        .ok()
        .filter(|_| wanted.split(',').all(is_level))
        .ok_or_else(|| {
            Failure::plain(format!(
                "COMMERCE_LOG {wanted:?}: expected a level, such as info, or MODULE=LEVEL,…"
            ))
        })
}

/// The metrics that the pattern crates count in this process.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Collects from now on.
    pub(crate) fn collect() -> Result<Self, Failure> {
        let recorder = PrometheusBuilder::new().install_recorder();
        recorder
            .map(Self)
            .map_err(|error| Failure::new("metrics cannot be collected", &error))
    }

    /// `GET /metrics`.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }

    /// Keeps the memory of histograms bounded until `end`.
    pub(crate) async fn keep_up(self, end: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP);
        while end.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.run_upkeep();
        }
    }
}

async fn metrics(State(Metrics(handle)): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT)], handle.render())
}
