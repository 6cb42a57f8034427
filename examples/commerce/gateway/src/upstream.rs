//! A service behind the gateway. What goes wrong with one service stays with it: it gets only so many
//! requests at a time, each has a deadline, and after too many failures it is left alone for a while.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{Extensions, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use commerce_chassis::{Caller, Error, Problem, Result, send_as, utoipa::openapi::OpenApi};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tower::{Layer as _, ServiceExt as _, service_fn, util::BoxCloneSyncService};
use tower_resilience_circuitbreaker::{
    CircuitBreakerError, CircuitBreakerLayer, SlidingWindowType,
};

use crate::{document::as_json, replicas::Replicas};

/// Over which time failures are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// Requests in the window before anything is concluded.
const LEAST: usize = 20;

/// What one service may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Requests at a time.
    pub at_once: usize,
    /// Time until the head of the answer.
    pub deadline: Duration,
    /// How long a service that fails is left alone.
    pub rest: Duration,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self {
        at_once: 256,
        deadline: Duration::from_secs(15),
        rest: Duration::from_secs(2),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Where a service is.
#[derive(Clone)]
pub(crate) enum Place {
    /// In this process.
    Local(Router, Box<OpenApi>),
    /// In other ones; each of them has the whole service.
    Remote(Vec<Uri>),
}

type Breaker = BoxCloneSyncService<Request, Response, CircuitBreakerError<Infallible>>;

/// A service, with what protects it and the others.
pub(crate) struct Upstream {
    name: String,
    slots: Semaphore,
    limits: Limits,
    breaker: Breaker,
    remote: Option<Replicas>,
    document: OnceCell<Value>,
}

impl Upstream {
    pub(crate) fn new(name: &str, place: Place, limits: Limits) -> Result<Self> {
        let deadline = limits.deadline;
        let (remote, document, calling) = match place {
            Place::Local(router, document) => {
                let calling = service_fn(move |request: Request| {
                    let answer = router.clone().oneshot(request);
                    async move {
                        let answer = tokio::time::timeout(deadline, answer).await;
                        answer.unwrap_or_else(|_| Ok(too_slow(deadline).into_response()))
                    }
                });
                (
                    None,
                    Some(as_json([*document])),
                    BoxCloneSyncService::new(calling),
                )
            }
            Place::Remote(urls) => {
                let remote = Replicas::new(urls, deadline);
                let client = remote.clone();
                let calling = service_fn(move |request| {
                    let client = client.clone();
                    async move { Ok(client.call(request).await) }
                });
                (Some(remote), None, BoxCloneSyncService::new(calling))
            }
        };
        Ok(Self {
            slots: Semaphore::new(limits.at_once),
            breaker: breaker(name, limits.rest, calling)?,
            name: name.to_owned(),
            limits,
            remote,
            document: OnceCell::new_with(document),
        })
    }

    /// Calls the service as `caller`.
    pub(crate) async fn call(&self, mut request: Request, caller: Option<Caller>) -> Response {
        // The slot is free again when the answer begins; a stream keeps none.
        let Ok(_slot) = self.slots.try_acquire() else {
            return self.away("the service has too many requests", 1);
        };
        // Only the caller goes along, no trace of the gateway's own routing.
        *request.extensions_mut() = Extensions::new();
        if let Some(caller) = caller {
            send_as(&mut request, caller);
        }
        match self.breaker.clone().oneshot(request).await {
            Ok(response) => response,
            Err(CircuitBreakerError::Inner(never)) => match never {},
            Err(CircuitBreakerError::OpenCircuit) => {
                let rest = self.limits.rest.as_millis().div_ceil(1_000);
                self.away(
                    "the service failed too often",
                    u64::try_from(rest).unwrap_or(1),
                )
            }
        }
    }

    /// What the service takes and answers; a service of another process is asked once.
    pub(crate) async fn document(&self) -> Result<&Value, Problem> {
        let fetch = async || match &self.remote {
            Some(remote) => {
                let asked = tokio::time::timeout(self.limits.deadline, remote.document());
                asked.await.unwrap_or_else(|_| Err(Problem::unavailable()))
            }
            None => Ok(Value::Null),
        };
        self.document.get_or_try_init(fetch).await
    }

    fn away(&self, why: &str, seconds: u64) -> Response {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "service-away",
            "The service does not answer now",
            format!("{}: {why}; send the same request again", self.name),
        )
        .retry_after(seconds)
        .into_response()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(..) => f.write_str("Local"),
            Self::Remote(urls) => f.debug_tuple("Remote").field(urls).finish(),
        }
    }
}

/// Opens when half of the answers are failures.
fn breaker<S, F>(name: &str, rest: Duration, service: S) -> Result<Breaker>
where
    S: tower::Service<Request, Response = Response, Error = Infallible, Future = F>,
    S: Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    let of = Arc::<str>::from(name);
    let layer = CircuitBreakerLayer::builder()
        .name(name)
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(WINDOW)
        .minimum_number_of_calls(LEAST)
        .failure_rate_threshold(0.5)
        .wait_duration_in_open(rest)
        .permitted_calls_in_half_open(3)
        .on_state_transition(move |from, to| {
            tracing::warn!(
                service = &*of,
                ?from,
                ?to,
                "the circuit of a service changed"
            );
        })
        .classify_response(is_failure)
        .build()
        .map_err(|_| Error::Setting {
            what: "the limits of the gateway: expected a rest above zero",
        })?;
    Ok(BoxCloneSyncService::new(layer.layer(service)))
}

/// An answer which says that the service cannot answer. A refusal is an answer.
fn is_failure(response: &Response) -> bool {
    matches!(
        response.status(),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

pub(crate) fn too_slow(deadline: Duration) -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "service-too-slow",
        "The service did not answer in time",
        format!(
            "no answer within {} s; a request that changes something may have done so",
            deadline.as_secs()
        ),
    )
}
