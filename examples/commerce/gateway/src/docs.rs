//! `/openapi.json`, and `/docs`: the same for people, without a script and without a network.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use commerce_chassis::{
    Problem,
    utoipa::openapi::{OpenApi, PathItem, RefOr, path::Operation},
};
use maud::{DOCTYPE, Markup, html};
use serde::Serialize;

use crate::document::{Upstreams, whole};

const STYLE: &str = include_str!("docs.css");

pub(crate) fn router(upstreams: Upstreams) -> Router {
    Router::new()
        .route("/openapi.json", get(document))
        .route("/docs", get(docs))
        .route("/docs.css", get(style))
        .with_state(Arc::new(upstreams))
}

async fn document(State(upstreams): State<Arc<Upstreams>>) -> Result<Response, Problem> {
    Ok(Json(whole(&upstreams).await?).into_response())
}

async fn style() -> Response {
    let css = HeaderValue::from_static("text/css; charset=utf-8");
    ([(header::CONTENT_TYPE, css)], STYLE).into_response()
}

async fn docs(State(upstreams): State<Arc<Upstreams>>) -> Result<Response, Problem> {
    let page = page(&whole(&upstreams).await?).into_string();
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, page).into_response())
}

fn page(document: &OpenApi) -> Markup {
    let paths = &document.paths.paths;
    let operations: Vec<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            of(item).map(move |(method, operation)| (path.as_str(), method, operation))
        })
        .collect();
    let tag = |operation: &Operation| {
        let mut tags = operation.tags.iter().flatten();
        tags.next().cloned().unwrap_or_default()
    };
    let mut tags: Vec<_> = operations
        .iter()
        .map(|(.., operation)| tag(operation))
        .collect();
    tags.sort_unstable();
    tags.dedup();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "API of the shop" }
                link rel="stylesheet" href="/docs.css";
            }
            body {
                header {
                    h1 { "API of the shop" }
                    p { "The same for programs: " a href="/openapi.json" { "/openapi.json" } ". Errors are problem documents (RFC 9457). Operations with a lock need a token of " code { "/api/v1/auth/login" } "." }
                    nav { @for tag in &tags { a href={ "#" (tag) } { (tag) } } }
                }
                main {
                    @for wanted in &tags {
                        h2 id=(wanted) { (wanted) }
                        @for (path, method, it) in operations.iter().filter(|(.., it)| tag(it) == *wanted) {
                            (operation(path, method, it))
                        }
                    }
                    h2 id="schemas" { "Schemas" }
                    @if let Some(components) = &document.components {
                        @for (name, schema) in &components.schemas {
                            details id={ "schema-" (name) } { summary { code { (name) } } pre { (pretty(schema)) } }
                        }
                    }
                }
            }
        }
    }
}

fn operation(path: &str, method: &str, operation: &Operation) -> Markup {
    let parameters = operation.parameters.iter().flatten();
    let body = operation.request_body.as_ref();
    html! {
        details id=[operation.operation_id.as_deref()] {
            summary {
                span class={ "method " (method) } { (method) } " " code { (path) }
                @if operation.security.is_some() { " " span title="needs a token" { "🔒" } }
                span.what { (operation.summary.as_deref().unwrap_or_default()) }
            }
            @if let Some(description) = &operation.description { p { (description) } }
            @for parameter in parameters {
                pre { (pretty(parameter)) }
            }
            @if let Some(body) = body { h3 { "Body" } pre { (pretty(body)) } }
            h3 { "Answers" }
            dl {
                @for (status, response) in &operation.responses.responses {
                    dt { (status) }
                    dd {
                        @if let RefOr::T(response) = response {
                            (response.description)
                            @for (kind, content) in &response.content { pre { (kind) "\n" (pretty(content)) } }
                        }
                    }
                }
            }
        }
    }
}

fn of(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let all = [
        ("get", item.get.as_ref()),
        ("post", item.post.as_ref()),
        ("put", item.put.as_ref()),
        ("patch", item.patch.as_ref()),
        ("delete", item.delete.as_ref()),
    ];
    let present = |(method, operation): (_, Option<_>)| Some((method, operation?));
    all.into_iter().filter_map(present)
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
