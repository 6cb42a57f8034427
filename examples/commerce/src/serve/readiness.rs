//! `/readyz`: how the services of this process are, and, at a gateway, those of the others.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::get,
};
use commerce_chassis::HealthCheck;
use serde_json::{Value, json};

use super::insight::Insight;

/// How the services are. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    pub(super) here: Arc<[HealthCheck]>,
    /// Those that the gateway stands before.
    pub(super) elsewhere: commerce_gateway::Readiness,
    pub(super) insight: Insight,
}

impl Readiness {
    /// The status for everyone, with the health of each service for those who may see it.
    pub(super) fn router(&self) -> Router {
        Router::new()
            .route("/readyz", get(ready))
            .with_state(self.clone())
    }

    /// The same for those only who may see all of it.
    pub(super) fn details(&self) -> Router {
        self.insight.guard(self.router())
    }
}

/// A process that answers is ready: it listens only when every service is open, and takes orders
/// even if the broker is away or a key is blocked. The body says whether an operator should look.
async fn ready(State(readiness): State<Readiness>, headers: HeaderMap) -> Response {
    let elsewhere = readiness.elsewhere.ask(&headers).await;
    let here: Vec<_> = readiness.here.iter().map(HealthCheck::check).collect();
    let healthy = here.iter().all(|it| it.healthy) && elsewhere.iter().all(|it| it.healthy);
    let status = if healthy { "ok" } else { "attention" };
    // Errors name servers, keys and messages.
    if readiness.insight.check(&headers).is_err() {
        return Json(json!({"status": status})).into_response();
    }
    let here = here.iter().map(|health| json!(health));
    let elsewhere = elsewhere.into_iter().map(|told| told.details);
    let services: Vec<Value> = here.chain(elsewhere).collect();
    Json(json!({"status": status, "services": services})).into_response()
}
