//! The tower layer.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use mainstay_clock::Clock;
use tower::{Layer, Service};

use super::{Policy, Problem, capture::capture, header};
use crate::{
    Leases, Operations,
    operations::{Executed, Exit},
};

/// Processes each request with an `Idempotency-Key` once, under a lease: for handlers whose effects
/// are not in a database of the service. What such a handler calls must be told a key, too, so that
/// a call that is repeated after a crash is one effect.
///
/// Give it to `Router::route_layer` or `Router::layer`. A handler finds its key and fencing token in
/// the request's extensions, as [`Lease`](crate::Lease).
///
/// | setter | default |
/// |---|---|
/// | `policy` | [`Policy::Required`] for `POST` and `PATCH` |
/// | `tenant` | all callers are one tenant |
/// | `max_request_size`, `max_response_size` | 1 MiB |
/// | `lease` | 30 s |
/// | `store_timeout` | 2 s |
/// | `clock` | the system's |
#[derive(Clone)]
pub struct IdempotencyLayer<L> {
    operations: Operations<L>,
    settings: Settings,
}

type TenantOf = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;
type PolicyOf = Arc<dyn Fn(&Parts) -> Policy + Send + Sync>;

#[derive(Clone)]
struct Settings {
    tenant: Option<TenantOf>,
    policy: PolicyOf,
    max_request_size: usize,
    max_response_size: usize,
}

const MIB: usize = 1024 * 1024;

impl<L: Leases + Clone> IdempotencyLayer<L> {
    /// A layer with these leases.
    #[must_use]
    pub fn new(leases: L) -> Self {
        Self {
            operations: Operations::new(leases),
            settings: Settings {
                tenant: None,
                policy: Arc::new(|parts| Policy::Required.of(parts)),
                max_request_size: MIB,
                max_response_size: MIB,
            },
        }
    }

    /// Whether `POST` and `PATCH` need a key. Layers of different routes may differ.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = Arc::new(move |parts| policy.of(parts));
        self
    }

    /// Whether a request needs a key, for any method.
    #[must_use]
    pub fn policy_of(mut self, of: impl Fn(&Parts) -> Policy + Send + Sync + 'static) -> Self {
        self.settings.policy = Arc::new(of);
        self
    }

    /// Whose key it is: what an outer layer that authenticates has put into the extensions. Requests
    /// for which this is `None` are 401.
    #[must_use]
    pub fn tenant(mut self, of: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.settings.tenant = Some(Arc::new(of));
        self
    }

    /// The largest request body, in bytes; default 1 MiB. It is held in memory.
    #[must_use]
    pub const fn max_request_size(mut self, bytes: usize) -> Self {
        self.settings.max_request_size = bytes;
        self
    }

    /// The largest response body that is kept, in bytes; default 1 MiB. It is held in memory until it
    /// is kept. Of a larger one the client gets everything, and a repeated request 410.
    #[must_use]
    pub const fn max_response_size(mut self, bytes: usize) -> Self {
        self.settings.max_response_size = bytes;
        self
    }

    /// As [`Operations::lease`].
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.operations = self.operations.lease(lease);
        self
    }

    /// As [`Operations::store_timeout`].
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.operations = self.operations.store_timeout(timeout);
        self
    }

    /// As [`Operations::clock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.operations = self.operations.clock(clock);
        self
    }
}

impl<S, L: Clone> Layer<S> for IdempotencyLayer<L> {
    type Service = Idempotency<S, L>;

    fn layer(&self, inner: S) -> Idempotency<S, L> {
        Idempotency {
            inner,
            layer: self.clone(),
        }
    }
}

/// What [`IdempotencyLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct Idempotency<S, L> {
    inner: S,
    layer: IdempotencyLayer<L>,
}

impl<S, L> Service<Request> for Idempotency<S, L>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    L: Leases + Clone,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready is called, its clone waits for the next request.
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        let layer = self.layer.clone();
        Box::pin(async move { layer.process(inner, request).await })
    }
}

impl<L: Leases + Clone> IdempotencyLayer<L> {
    async fn process<S>(self, mut inner: S, request: Request) -> Result<Response, S::Error>
    where
        S: Service<Request, Response = Response> + Send + 'static,
        S::Future: Send,
        S::Error: Send,
    {
        let Self {
            operations,
            settings,
        } = self;
        let (mut parts, body) = request.into_parts();
        let text = match settings.key_text(&parts) {
            Ok(Some(text)) => text,
            Ok(None) => return inner.call(Request::from_parts(parts, body)).await,
            Err(problem) => return Ok(problem.into_response()),
        };
        let (request, bytes) = match settings.read(&parts, &text, body).await {
            Ok(read) => read,
            Err(problem) => return Ok(problem.into_response()),
        };
        let executed = operations.execute(request, move |lease| {
            parts.extensions.insert(lease);
            let request = Request::from_parts(parts, Body::from(bytes));
            async move {
                match inner.call(request).await {
                    Ok(response) => match capture(response, settings.max_response_size).await {
                        Exit::Keep(answer, response) => Exit::Keep(answer, Ok(response)),
                        Exit::Release(response) => Exit::Release(Ok(response)),
                    },
                    Err(error) => Exit::Release(Err(error)),
                }
            }
        });
        match executed.await {
            Ok(Executed::Ran(outcome)) => outcome,
            Ok(Executed::Settled(settled)) => Ok(settled.into_response()),
            Ok(Executed::Panicked(_)) => {
                tracing::error!("the handler of a keyed request panicked; its key is free");
                Ok(Problem::internal().into_response())
            }
            Err(error) => Ok(Problem::from(error).into_response()),
        }
    }
}

impl Settings {
    /// The key's text; `None` if the request is processed without one.
    fn key_text(&self, parts: &Parts) -> Result<Option<String>, Problem> {
        let policy = (self.policy)(parts);
        if policy == Policy::Off {
            return Ok(None);
        }
        let text = header::key_text(&parts.headers)?;
        if text.is_none() && policy == Policy::Required {
            return Err(Problem::key_is_missing());
        }
        Ok(text)
    }

    async fn read(
        &self,
        parts: &Parts,
        text: &str,
        body: Body,
    ) -> Result<(crate::KeyedRequest, Bytes), Problem> {
        let tenant = match &self.tenant {
            None => String::new(),
            Some(of) => of(parts).ok_or_else(|| {
                let detail = "an Idempotency-Key needs a caller that is known";
                Problem::new(StatusCode::UNAUTHORIZED, detail)
            })?,
        };
        let limit = self.max_request_size;
        let body = Limited::new(body, limit).collect().await;
        let bytes = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                let detail = format!("the body has more than {limit} bytes");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
            } else {
                Problem::malformed("the body cannot be read")
            }
        })?;
        let bytes = bytes.to_bytes();
        Ok((header::keyed(&tenant, parts, text, &bytes)?, bytes))
    }
}

impl<L: fmt::Debug> fmt::Debug for IdempotencyLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer")
            .field("operations", &self.operations)
            .field("max_request_size", &self.settings.max_request_size)
            .field("max_response_size", &self.settings.max_response_size)
            .finish_non_exhaustive()
    }
}
