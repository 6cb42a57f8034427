//! Commands of operators.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use commerce_chassis::{Caller, JsonBody, PathParam, Problem, Refused, utoipa};
use commerce_contracts::{ProductPrice, ProductStatus, Sku, TaxClass};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Catalog;
use crate::{
    etag::IfMatch,
    product::{Details, Price, Product, Shown, check_sku},
};

/// A new product.
#[derive(Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProduct {
    /// What it is ordered by: 1 to 32 of A-Z, 0-9 and -. It stays.
    #[schema(value_type = String, example = "KETTLE-1")]
    sku: Sku,
    /// What customers read.
    name: String,
    /// The category that it is listed in.
    #[schema(example = "kitchen")]
    category: String,
    /// What it is taxed as.
    #[schema(value_type = String, example = "standard")]
    tax_class: TaxClass,
    /// The price of one piece in each currency, without tax.
    #[schema(value_type = Vec<Price>)]
    prices: Vec<ProductPrice>,
}

/// Creates a product. None of it is in stock yet.
#[utoipa::path(post, path = "/api/v1/products", operation_id = "create_product", tag = "catalog",
    request_body = NewProduct, responses((status = CREATED, body = Shown, headers(("ETag" = String), ("Location" = String))), Refused))]
pub(super) async fn create(
    State(catalog): State<Catalog>,
    caller: Caller,
    JsonBody(new): JsonBody<NewProduct>,
) -> Result<Response, Problem> {
    caller.require_operator()?;
    check_sku(&new.sku)?;
    let details = Details {
        name: new.name,
        category: new.category,
        status: ProductStatus::Active,
        tax_class: new.tax_class,
        prices: new.prices,
    };
    let shown = catalog.commands.create(new.sku, details).await?;
    let location = format!("/api/v1/products/{}", shown.product_id);
    let headers = [(header::LOCATION, location), (header::ETAG, shown.etag())];
    Ok((StatusCode::CREATED, headers, Json(shown)).into_response())
}

/// Replaces what was decided about a product.
#[utoipa::path(put, path = "/api/v1/products/{id}", operation_id = "replace_product", tag = "catalog",
    params(("id" = String, Path), ("If-Match" = String, Header, description = "The ETag of the version that is changed")),
    request_body = Details, responses((status = OK, body = Shown, headers(("ETag" = String))), Refused))]
pub(super) async fn replace(
    State(catalog): State<Catalog>,
    caller: Caller,
    PathParam(id): PathParam,
    headers: HeaderMap,
    JsonBody(details): JsonBody<Details>,
) -> Result<Response, Problem> {
    caller.require_operator()?;
    let condition = IfMatch::of(&headers)?;
    let change = |_: &_| Ok(details);
    let shown = catalog.commands.change(&id, &condition, change).await?;
    Ok(answer(shown))
}

/// Changes some of what was decided about a product (RFC 7396).
#[utoipa::path(patch, path = "/api/v1/products/{id}", operation_id = "patch_product", tag = "catalog",
    params(("id" = String, Path), ("If-Match" = String, Header, description = "The ETag of the version that is changed")),
    request_body(content = Value, content_type = "application/merge-patch+json"),
    responses((status = OK, body = Shown, headers(("ETag" = String))), Refused))]
pub(super) async fn patch(
    State(catalog): State<Catalog>,
    caller: Caller,
    PathParam(id): PathParam,
    headers: HeaderMap,
    JsonBody(patch): JsonBody<Map<String, Value>>,
) -> Result<Response, Problem> {
    caller.require_operator()?;
    let condition = IfMatch::of(&headers)?;
    let change = |product: &Product| product.patched(patch);
    let shown = catalog.commands.change(&id, &condition, change).await?;
    Ok(answer(shown))
}

/// Retires a product: it is shown, and not sold any more.
#[utoipa::path(delete, path = "/api/v1/products/{id}", operation_id = "retire_product", tag = "catalog",
    params(("id" = String, Path), ("If-Match" = String, Header, description = "The ETag of the version that is retired")),
    responses((status = NO_CONTENT, headers(("ETag" = String))), Refused))]
pub(super) async fn retire(
    State(catalog): State<Catalog>,
    caller: Caller,
    PathParam(id): PathParam,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require_operator()?;
    let condition = IfMatch::of(&headers)?;
    let change = |product: &Product| {
        let mut details = product.details.clone();
        details.status = ProductStatus::Retired;
        Ok(details)
    };
    let shown = catalog.commands.change(&id, &condition, change).await?;
    let tag = [(header::ETAG, shown.etag())];
    Ok((StatusCode::NO_CONTENT, tag).into_response())
}

fn answer(shown: Shown) -> Response {
    ([(header::ETAG, shown.etag())], Json(shown)).into_response()
}
