//! What the operators' pages can do only where the whole shop is one process: check the invariants,
//! play a scenario, and show who did what. The pages alone reach these routes.

mod acts;
mod checking;
mod courier;
mod playing;
mod work;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
};
use commerce_chassis::{Operators, Problem, Storage};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::insight::Insight;
use crate::{
    client::Client,
    config::{Config, SERVICES},
};

use acts::Acts;
pub(crate) use acts::FILE as ACTS;
use checking::Checking;
use playing::Playing;

/// What the routes need.
#[derive(Clone)]
struct Console {
    storage: Storage,
    /// Plays the customers of the scenarios.
    client: Client,
    insight: Insight,
    acts: Acts,
    checking: Arc<Checking>,
    playing: Arc<Playing>,
    closing: CancellationToken,
}

/// The routes that this process can answer: for operators, where requests need a token.
///
/// `services` answers without the gateway, and says how ready it is.
pub(super) fn router(
    config: &Config,
    services: &Router,
    insight: &Insight,
    closing: &CancellationToken,
) -> Router {
    let mut router = courier::router(config, services);
    if config.services.len() == SERVICES.len() {
        let console = Console {
            client: playing::client(services),
            acts: Acts::beside(&config.storage),
            storage: config.storage.clone(),
            insight: insight.clone(),
            checking: Arc::default(),
            playing: Arc::default(),
            closing: closing.clone(),
        };
        let whole = playing::router().merge(acts::router());
        router = router.merge(whole.merge(checking::router()).with_state(console));
    }
    insight.guard(router)
}

/// Why an operator acts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

/// Who acts: the user whom a token names, or whoever signs where none is needed.
fn operator(insight: &Insight, headers: &HeaderMap) -> Result<String, Problem> {
    let user = insight.user(headers)?;
    let name = user.or_else(|| Operators::named(headers).map(str::to_owned));
    name.ok_or_else(|| unsigned("name the operator in X-Operator"))
}

fn unsigned(detail: &str) -> Problem {
    let title = "The act is not signed";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unsigned", title, detail)
}

/// One of a kind is under way.
fn busy(detail: &str) -> Problem {
    let title = "It is under way already";
    Problem::new(StatusCode::CONFLICT, "under-way", title, detail)
}
