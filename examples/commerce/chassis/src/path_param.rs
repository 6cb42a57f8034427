//! The parameter of a route's path.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::Problem;

/// The only parameter of a route's path, such as an order's id. A parameter that is not UTF-8, or
/// that holds a NUL, names nothing: PostgreSQL cannot be asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathParam(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name): Path<String> = Path::from_request_parts(parts, state).await?;
        if name.contains('\0') {
            return Err(Problem::not_found("no name contains a NUL"));
        }
        Ok(Self(name))
    }
}
