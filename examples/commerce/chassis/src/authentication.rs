//! Finds out who sends a request. Every service does it itself: what a header claims counts for
//! nothing, only a signature does.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};
use mainstay_clock::Clock;
use mainstay_messaging::Cause;

use crate::{Caller, KeySet, Operators, Problem, Refusal, caller::Authenticated, traceparent};

/// Whether requests need a token.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Access {
    /// Without a token, the caller is anybody, who may do everything. For a machine of one's own.
    #[default]
    Open,
    /// Without a token, only public routes answer.
    Required,
}

/// Finds out who sends a request.
#[derive(Clone, Debug)]
pub struct Authentication {
    pub(crate) access: Access,
    pub(crate) keys: KeySet,
    pub(crate) operators: Operators,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Authentication {
    /// Verifies access tokens with `keys`, by the time of `clock`.
    #[must_use]
    pub const fn new(
        access: Access,
        keys: KeySet,
        operators: Operators,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            access,
            keys,
            operators,
            clock,
        }
    }

    /// The caller, by the headers of a request.
    ///
    /// # Errors
    /// 401: the token is missing, expired or invalid. 503: the keys are not known yet.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(token) = bearer(headers) else {
            return match self.access {
                Access::Open => Ok(Caller::anybody()),
                Access::Required => Err(Problem::unauthenticated(
                    "token-missing",
                    "send `Authorization: Bearer TOKEN` with a token of /api/v1/auth/login",
                )),
            };
        };
        if self.operators.has_token(token) {
            return Ok(Caller::operator(
                Operators::named(headers).unwrap_or("operator"),
            ));
        }
        let now = self.clock.now().duration_since(UNIX_EPOCH);
        let verified = self.keys.verify(token, now.unwrap_or(Duration::ZERO));
        verified.map(Caller::of).map_err(|refusal| match refusal {
            Refusal::Expired => Problem::unauthenticated(
                "token-expired",
                "get a new token with /api/v1/auth/refresh",
            ),
            Refusal::Invalid => Problem::unauthenticated(
                "token-invalid",
                "the token is not one of this shop; log in again",
            ),
            Refusal::NoKeys => Problem::unavailable(),
        })
    }

    /// Makes the caller known to the handlers behind. In one process, the gateway has done so
    /// already: what is in the extensions of a request never comes from outside.
    pub fn identify(&self, request: &mut Request) -> Result<Caller, Problem> {
        if let Some(Authenticated(found)) = request.extensions().get() {
            return found.clone();
        }
        let found = self.caller(request.headers());
        request
            .extensions_mut()
            .insert(Authenticated(found.clone()));
        found
    }
}

/// Sends a request within the process as `caller`.
pub fn send_as(request: &mut Request, caller: Caller) {
    request.extensions_mut().insert(Authenticated(Ok(caller)));
}

/// The layer around the routes of every service. Whether a route needs a caller is for its handler
/// to say: by taking one.
pub(crate) async fn authenticate(
    State(authentication): State<Authentication>,
    mut request: Request,
    next: Next,
) -> Response {
    drop(authentication.identify(&mut request));
    // What the handlers emit belongs to the trace of the request.
    let trace = traceparent(request.headers()).map(Cause::traced);
    trace.unwrap_or_default().scope(next.run(request)).await
}

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
