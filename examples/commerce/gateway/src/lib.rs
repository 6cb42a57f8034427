//! The gateway: the one listener of the shop, in front of all services.
//!
//! Read `routes` first: one row per route says who may call it. What a request passes, from outside:
//!
//! | file | what |
//! |---|---|
//! | `tracing_ids` | request id and `traceparent`: kept if they are sound, created otherwise |
//! | `lib` | cross-site requests are refused, a panic is a problem document |
//! | `routes`, `guard` | token → role of the route |
//! | `limit` | requests per client, with `Retry-After` |
//! | `upstream` | per service: bulkhead, circuit breaker, deadline |
//! | `replicas`, `remote` | a service in other processes; a service in this one is its router, without a loopback hop |
//! | `readiness` | how the services of other processes are |
//! | `document`, `docs` | the OpenAPI document of all services, and a page for it |

mod docs;
mod document;
mod guard;
mod limit;
mod readiness;
mod remote;
mod replicas;
mod routes;
#[cfg(test)]
mod tests;
mod tracing_ids;
mod upstream;

use std::{any::Any, collections::BTreeMap, num::NonZeroU32, sync::Arc};

use axum::{
    Router,
    http::{
        StatusCode, Uri,
        header::{AUTHORIZATION, COOKIE},
    },
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter},
};
use commerce_chassis::{Authentication, Problem, RateLimits, Result, utoipa::openapi::OpenApi};
use mainstay_clock::IdGenerator;
use tower_http::{
    catch_panic::CatchPanicLayer, csrf::CsrfLayer,
    sensitive_headers::SetSensitiveRequestHeadersLayer,
};

pub use readiness::{Readiness, Told};
pub use routes::{Access, ROUTES, Route, routes};
pub use upstream::Limits;

use guard::Guarded;
use limit::Limiter;
use upstream::{Place, Upstream};

/// The gateway, as it is put together.
#[derive(Debug)]
pub struct Gateway {
    authentication: Authentication,
    limits: Limits,
    rate: Option<NonZeroU32>,
    shared: Option<Arc<dyn RateLimits>>,
    places: BTreeMap<String, Place>,
}

impl Gateway {
    /// A gateway in front of nothing yet.
    #[must_use]
    pub const fn new(authentication: Authentication) -> Self {
        Self {
            authentication,
            limits: Limits::DEFAULT,
            rate: None,
            shared: None,
            places: BTreeMap::new(),
        }
    }

    /// Bounds what one service may take.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets a client send this many requests per second, and twice as many at once; default: any
    /// number.
    #[must_use]
    pub const fn rate_limit(mut self, per_second: NonZeroU32) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Counts them together with other gateways. While these counts cannot be had, this gateway counts
    /// alone.
    #[must_use]
    pub fn counted_by(mut self, shared: Arc<dyn RateLimits>) -> Self {
        self.shared = Some(shared);
        self
    }

    /// Adds a service of this process.
    #[must_use]
    pub fn local(mut self, service: &str, router: Router, document: OpenApi) -> Self {
        let place = Place::Local(router, Box::new(document));
        self.places.insert(service.to_owned(), place);
        self
    }

    /// Adds a service of another process, at a URL such as `http://127.0.0.1:8081`. A service may run
    /// in several: while one of them does not answer, the next one is asked.
    #[must_use]
    pub fn remote(mut self, service: &str, url: Uri) -> Self {
        if let Some(Place::Remote(urls)) = self.places.get_mut(service) {
            urls.push(url);
        } else {
            let place = Place::Remote(vec![url]);
            self.places.insert(service.to_owned(), place);
        }
        self
    }

    /// The routes of all services that were added, with `/openapi.json` and `/docs`.
    ///
    /// # Errors
    /// [`Error::Setting`](commerce_chassis::Error::Setting): the limits are invalid.
    pub fn into_router(self) -> Result<Router> {
        let shared = self.shared;
        let limiter = Arc::new(self.rate.map(|rate| Limiter::new(rate, shared)));
        let places = self.places.into_iter();
        let upstreams = places.map(|(name, place)| {
            let upstream = Upstream::new(&name, place, self.limits)?;
            Ok((name, Arc::new(upstream)))
        });
        let upstreams: BTreeMap<_, _> = upstreams.collect::<Result<_>>()?;
        let mut paths: BTreeMap<String, MethodRouter> = BTreeMap::new();
        for route in routes() {
            let Some(upstream) = upstreams.get(&*route.service) else {
                continue;
            };
            let guarded = Arc::new(Guarded {
                access: route.access,
                cost: route.cost(),
                authentication: self.authentication.clone(),
                limiter: Arc::clone(&limiter),
                upstream: Arc::clone(upstream),
            });
            let path = paths.entry(route.path.into_owned()).or_default();
            let methods = std::mem::take(path);
            *path = match MethodFilter::try_from(route.method) {
                Ok(method) => methods.on(method, move |request| guarded.answer(request)),
                // The table names the methods of RFC 9110 and PATCH only.
                Err(_) => methods,
            };
        }
        let router = paths
            .into_iter()
            .fold(Router::new(), |router, (path, methods)| {
                router.route(&path, methods)
            });
        Ok(router.merge(docs::router(upstreams)))
    }
}

/// What stands around everything that a browser reaches, the gateway's routes and pages: request ids,
/// and no changes from other sites. It stands where `Host` and `Origin` are those of the browser.
pub fn shell(router: Router, ids: Arc<dyn IdGenerator>) -> Router {
    router
        .route_layer(CsrfLayer::new().with_rejection_response(|_| cross_site().into_response()))
        .route_layer(CatchPanicLayer::custom(panicked))
        .route_layer(SetSensitiveRequestHeadersLayer::new([
            AUTHORIZATION,
            COOKIE,
        ]))
        .route_layer(from_fn_with_state(ids, tracing_ids::assign))
}

/// The answer to a path that no service has.
#[must_use]
pub fn unknown_version(path: &str) -> Option<Problem> {
    let version = path.strip_prefix("/api/")?.split('/').next()?;
    let number = version.strip_prefix('v')?;
    let is_version = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    (is_version && version != "v1").then(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-version",
            "There is no such version of the API",
            format!("{version:.10}: the API has version v1"),
        )
    })
}

fn cross_site() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "cross-site",
        "The request comes from another site",
        "a page of another site may not change anything here",
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text, "a handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "The service failed",
        "the service's log says why",
    )
    .into_response()
}
