//! Queries: answered by the read side, from the cache.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use commerce_chassis::{Connection, Error, PathParam, Problem, QueryParams, Refused, sql, utoipa};
use serde::Serialize;

use super::{Catalog, no_such_product};
use crate::{
    cache::{Asked, Document},
    etag::is_known,
    product::Shown,
    query::{Parameters, Query},
    view::{self, Category, Page},
};

/// Bytes of an id or a SKU at most.
const LONGEST_ID: usize = 64;

/// The products for sale.
#[utoipa::path(get, path = "/api/v1/products", operation_id = "list_products", tag = "catalog",
    params(Parameters), responses((status = OK, body = Page), Refused))]
pub(super) async fn list(
    State(catalog): State<Catalog>,
    QueryParams(parameters): QueryParams<Parameters>,
) -> Result<Response, Problem> {
    let query = Query::read(&parameters)?;
    let (db, asked) = (catalog.db, Asked::List(query.clone()));
    let load = async move {
        let page = view::list(db.reader(), &query).await?;
        Ok(Some(document(&page, None)?))
    };
    let page = catalog.cache.get(asked, load).await?;
    page.map(json).ok_or_else(no_such_product)
}

/// A product, by its id or its SKU.
#[utoipa::path(get, path = "/api/v1/products/{id}", operation_id = "show_product", tag = "catalog",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header, description = "The ETag of a known version")),
    responses((status = OK, body = Shown, headers(("ETag" = String, description = "The version"))), (status = NOT_MODIFIED), Refused))]
pub(super) async fn show(
    State(catalog): State<Catalog>,
    PathParam(id): PathParam,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // What cannot be one takes no place in the cache.
    if id.len() > LONGEST_ID {
        return Err(no_such_product());
    }
    let (db, asked) = (catalog.db, Asked::Product(id.clone()));
    let load = async move {
        let mut reader = db.reader().acquire().await.map_err(sql)?;
        let connection: &mut Connection = &mut reader;
        let found = view::find(connection, &id).await?;
        let found = found.map(|shown| document(&shown, Some(shown.etag())));
        Ok(found.transpose()?)
    };
    let document = catalog.cache.get(asked, load).await?;
    let document = document.ok_or_else(no_such_product)?;
    let etag = document.etag.clone().unwrap_or_default();
    let tag = [(header::ETAG, etag.clone())];
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok((tag, json(document)).into_response())
}

/// The categories.
#[utoipa::path(get, path = "/api/v1/categories", operation_id = "list_categories", tag = "catalog",
    responses((status = OK, body = Vec<Category>), Refused))]
pub(super) async fn categories(State(catalog): State<Catalog>) -> Result<Response, Problem> {
    let db = catalog.db;
    let load = async move {
        let categories = view::categories(db.reader()).await?;
        Ok(Some(document(&categories, None)?))
    };
    let categories = catalog.cache.get(Asked::Categories, load).await?;
    categories.map(json).ok_or_else(no_such_product)
}

fn document(value: &impl Serialize, etag: Option<String>) -> Result<Document, Error> {
    let body = serde_json::to_vec(value);
    let body = body.map_err(|error| Error::damaged("an answer of the catalog", error))?;
    Ok(Document {
        body: Bytes::from(body),
        etag,
    })
}

fn json(document: Document) -> Response {
    // Clients ask again whether it has changed.
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, document.body).into_response()
}
