//! Problem details (RFC 9457) with stable types.

use axum::{
    extract::rejection::PathRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// An error as an HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The stable last part of `type`.
    pub slug: &'static str,
    /// A summary, the same for every problem of the type.
    pub title: &'static str,
    /// The fault of this request.
    pub detail: String,
    /// After how many seconds the same request may succeed.
    pub retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A problem.
    pub fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            slug,
            title,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The same request may succeed after `seconds`.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Nobody knows who sends the request.
    pub fn unauthenticated(slug: &'static str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            slug,
            "The request needs a valid token",
            detail,
        )
    }

    /// The caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The caller may not do this",
            detail,
        )
    }

    /// Nothing has that name.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is nothing here",
            detail,
        )
    }

    /// The service cannot answer now; the same request may be sent again.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The service cannot answer now",
            "send the same request again",
        )
        .retry_after(1)
    }
}

/// The same problem, from the work of a keyed request.
impl From<Problem> for mainstay_idempotency::http::Problem {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status, problem.detail)
            .kind(kind(problem.slug))
            .title(problem.title)
    }
}

fn kind(slug: &str) -> String {
    format!("urn:commerce:problem:{slug}")
}

/// A path that names nothing, for example because it is not UTF-8.
impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::not_found(rejection.body_text())
    }
}

impl From<crate::Error> for Problem {
    fn from(error: crate::Error) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "a request failed");
        if error.is_retryable() {
            return Self::unavailable();
        }
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The service failed",
            "the service's log says why",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: kind(self.slug),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        // Texts and a number always serialise.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (
            self.status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body,
        )
            .into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let (name, value) = match self.status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::REQUEST_TIMEOUT => (header::CONNECTION, "close"),
            _ => return response,
        };
        headers.insert(name, HeaderValue::from_static(value));
        response
    }
}
