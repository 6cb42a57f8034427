//! `/api/v1/products` and `/api/v1/categories`: queries for everyone, commands for operators.

mod commands;
mod queries;

use axum::http::StatusCode;
use commerce_chassis::{Db, OpenApiRouter, Problem, routes, utoipa};

use crate::{cache::Cache, commands::Commands};

/// What the routes need. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    db: Db,
    cache: Cache,
    commands: Commands,
}

pub(crate) fn router(db: Db, cache: Cache, commands: Commands) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(queries::list, commands::create))
        .routes(routes!(
            queries::show,
            commands::replace,
            commands::patch,
            commands::retire
        ))
        .routes(routes!(queries::categories))
        .with_state(Catalog {
            db,
            cache,
            commands,
        })
}

pub(crate) fn no_such_product() -> Problem {
    Problem::not_found("there is no such product")
}

/// The problem of a well-formed request.
pub(crate) fn invalid(
    slug: &'static str,
    title: &'static str,
    detail: impl Into<String>,
) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, slug, title, detail)
}

/// The body is JSON, and not a product.
pub(crate) fn not_a_product(error: &serde_json::Error) -> Problem {
    let title = "The product is not complete";
    invalid("invalid-product", title, error.to_string())
}

/// The beginning of a client's text.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
