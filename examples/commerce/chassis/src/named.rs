//! The name in a route's path.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::Problem;

/// The only variable part of a route's path, such as an order's id. One that is no text is a problem like any other
/// name that nothing has; so is one with a NUL in it, which not every database can be asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name): Path<String> = Path::from_request_parts(parts, state).await?;
        if name.contains('\0') {
            return Err(Problem::not_found("nothing has a NUL in its name"));
        }
        Ok(Self(name))
    }
}
