//! `/readyz`: how the services of this process are, and, at a gateway, those of the others.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::get,
};
use commerce_chassis::HealthCheck;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::insight::Insight;

/// How long the services elsewhere are not asked again for everyone.
const SHARED: Duration = Duration::from_secs(1);

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
        let public = Public {
            elsewhere: self.elsewhere.clone(),
            healthy: Arc::default(),
        };
        Router::new()
            .route("/readyz", get(ready))
            .with_state((self.clone(), public))
    }

    /// The same for those only who may see all of it.
    pub(super) fn details(&self) -> Router {
        self.insight.guard(self.router())
    }
}

/// What everyone may know of the services elsewhere. They are asked without a token, and once a
/// second at most, however many want to know. Clones are the same.
#[derive(Clone, Debug)]
struct Public {
    elsewhere: commerce_gateway::Readiness,
    /// None = to be asked.
    healthy: Arc<Mutex<Option<bool>>>,
}

impl Public {
    /// Whether all of them are healthy.
    async fn healthy(&self) -> bool {
        let mut known = Arc::clone(&self.healthy).lock_owned().await;
        if let Some(healthy) = *known {
            return healthy;
        }
        let public = self.clone();
        // A task of its own: whoever goes away in the meantime has not asked in vain.
        let asking = tokio::spawn(async move {
            let told = public.elsewhere.ask(&HeaderMap::new()).await;
            let healthy = told.iter().all(|it| it.healthy);
            *known = Some(healthy);
            drop(known);
            tokio::spawn(async move {
                tokio::time::sleep(SHARED).await;
                *public.healthy.lock().await = None;
            });
            healthy
        });
        asking.await.unwrap_or(false)
    }
}

/// A process that answers is ready: it listens only when every service is open, and takes orders
/// even if the broker is away or a key is blocked. The body says whether an operator should look.
async fn ready(
    State((readiness, public)): State<(Readiness, Public)>,
    headers: HeaderMap,
) -> Response {
    let here: Vec<_> = readiness.here.iter().map(HealthCheck::check).collect();
    let healthy = here.iter().all(|it| it.healthy);
    let status = |healthy| if healthy { "ok" } else { "attention" };
    // Errors name servers, keys and messages. And only operators' tokens are handed on.
    if readiness.insight.check(&headers).is_err() {
        let healthy = healthy && public.healthy().await;
        return Json(json!({"status": status(healthy)})).into_response();
    }
    let elsewhere = readiness.elsewhere.ask(&headers).await;
    let status = status(healthy && elsewhere.iter().all(|it| it.healthy));
    let here = here.iter().map(|health| json!(health));
    let elsewhere = elsewhere.into_iter().map(|told| told.details);
    let services: Vec<Value> = here.chain(elsewhere).collect();
    Json(json!({"status": status, "services": services})).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::http::Uri;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn everyone_shares_an_answer_until_it_is_old() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url: Uri = format!("http://{address}").parse().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let answer = get(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Json(json!({"status": "ok"}))
        });
        let router = Router::new().route("/readyz", answer);
        tokio::spawn(async { axum::serve(listener, router).await });

        let public = Public {
            elsewhere: commerce_gateway::Readiness::new([("order", &url)]),
            healthy: Arc::default(),
        };
        let told = tokio::join!(public.healthy(), public.healthy(), public.healthy());
        assert_eq!(told, (true, true, true));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let again = async {
            while asked.load(Ordering::Relaxed) < 2 {
                tokio::time::sleep(SHARED / 10).await;
                public.healthy().await;
            }
        };
        tokio::time::timeout(SHARED * 60, again).await.unwrap();
    }
}
