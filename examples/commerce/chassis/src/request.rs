//! What a request says in its body and its query, or a problem.

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Query, Request,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::Problem;

/// A body of JSON, as `application/json`.
#[derive(Clone, Copy, Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let (slug, title) = match &rejection {
            JsonRejection::JsonDataError(_) => {
                ("invalid-request", "The body is not what the route expects")
            }
            JsonRejection::JsonSyntaxError(_) => ("invalid-json", "The body is not JSON"),
            JsonRejection::MissingJsonContentType(_) => {
                ("unsupported-media-type", "The body is not declared as JSON")
            }
            _ => ("unreadable-body", "The body could not be read"),
        };
        Self::new(rejection.status(), slug, title, rejection.body_text())
    }
}

/// The query of a URL. One that holds a NUL is refused: PostgreSQL cannot be asked for it.
#[derive(Clone, Copy, Debug)]
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // In a query, `%` only begins an escape.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Self::Rejection::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-query",
                "The query is not what the route expects",
                "no parameter contains a NUL",
            ));
        }
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid-query",
            "The query is not what the route expects",
            rejection.body_text(),
        )
    }
}
