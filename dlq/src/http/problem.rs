//! Problem details (RFC 9457) with stable types.

use axum::{
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Denied;
use crate::Error;

/// An error as an HTTP answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    slug: &'static str,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, slug: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            status,
            slug,
            detail,
        }
    }

    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "there is nothing at this path",
        )
    }

    pub(super) fn no_dry_runs() -> Self {
        let detail = "this service offers no dry runs: it has no handlers";
        Self::new(StatusCode::NOT_IMPLEMENTED, "no-dry-runs", detail)
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail)
    }

    pub(super) fn denied(denied: Denied) -> Self {
        match denied {
            Denied::Unauthenticated => {
                let detail = "say who you are, as this service asks for it";
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
            }
            Denied::Forbidden => {
                let detail = "your role does not allow this";
                Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
            }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, slug) = match &error {
            Error::NotFound(_) | Error::NoJob(_) => (StatusCode::NOT_FOUND, "not-found"),
            Error::WrongState { .. } => (StatusCode::CONFLICT, "wrong-state"),
            Error::NotFirst { .. } => (StatusCode::CONFLICT, "not-first"),
            Error::Revised { .. } => (StatusCode::CONFLICT, "revised"),
            Error::InvalidEdit { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-edit"),
            Error::Unsigned(_) => (StatusCode::BAD_REQUEST, "unsigned"),
            error if error.is_retryable() => {
                tracing::warn!(%error, "a request to the dead letter queue failed");
                let detail = "send the same request again";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
            }
            error => {
                tracing::error!(%error, "a request to the dead letter queue failed");
                let detail = "the service's log says why";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail);
            }
        };
        Self::new(status, slug, error.to_string())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "invalid-request", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": format!("urn:mainstay:dlq:{}", self.slug),
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, body.to_string()).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let second = axum::http::HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response
    }
}
