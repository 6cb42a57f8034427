//! Bounds what clients may use: time to send a request, connections, and requests in progress.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use commerce_chassis::Problem;
use http_body_util::LengthLimitError;
use tokio::sync::Semaphore;

use super::connections::Connection;

/// The largest body of a request, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// Limits of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// Deadline for the head of a request, and then for its body.
    pub(crate) request_timeout: Duration,
    /// Time until a service begins its answer to the gateway.
    pub(crate) answer_timeout: Duration,
    /// Open connections at most.
    pub(crate) connections: usize,
}

impl Limits {
    /// Requests in progress at most. The rest of the connections always has room for the health
    /// routes, which need no permit.
    const fn requests(self) -> usize {
        self.connections / 4 * 3
    }

    /// Requests in progress at one service at most: one that is slow leaves room for the others, where
    /// there is room to share.
    pub(crate) const fn per_service(self) -> usize {
        let all = self.requests();
        if all < 64 { all } else { all - all / 4 }
    }
}

#[derive(Clone)]
struct Permits {
    timeout: Duration,
    requests: Arc<Semaphore>,
}

/// Applies the limits to the routes of `services`.
pub(crate) fn limited(services: Router, limits: Limits) -> Router {
    let permits = Permits {
        timeout: limits.request_timeout,
        requests: Arc::new(Semaphore::new(limits.requests())),
    };
    services.route_layer(from_fn_with_state(permits, limit))
}

/// Reads the whole body, and takes a permit for the request.
async fn limit(
    State(permits): State<Permits>,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(permits.timeout, to_bytes(body, BODY_LIMIT))
        .await
        .map_err(|_| too_slow(permits.timeout))?
        .map_err(|error| unreadable(&error))?;
    let permit = permits.requests.try_acquire().ok();
    let handling = permit.is_some().then(|| connection.handling()).flatten();
    let (Some(_permit), Some(_handling)) = (permit, handling) else {
        return Err(Problem::unavailable());
    };
    let request = Request::from_parts(head, Body::from(body));
    Ok(next.run(request).await)
}

fn too_slow(timeout: Duration) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "request-timeout",
        "The request came too slowly",
        format!("send the whole body within {} s", timeout.as_secs()),
    )
}

fn unreadable(error: &axum::Error) -> Problem {
    let source = std::error::Error::source(error);
    if source.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The body is too large",
            format!("a body has at most {BODY_LIMIT} bytes"),
        );
    }
    Problem::new(
        StatusCode::BAD_REQUEST,
        "unreadable-body",
        "The body could not be read",
        error.to_string(),
    )
}
