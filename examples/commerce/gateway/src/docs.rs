//! `/openapi.json`, and `/docs`: the same for people, without a script and without a network.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use commerce_chassis::Problem;
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use crate::document::{Upstreams, members, whole};

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

fn page(document: &Value) -> Markup {
    let paths = members(document, "/paths").into_iter().flatten();
    let operations: Vec<_> = paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (path, method, operation))
        })
        .collect();
    let tag = |operation: &Value| text(&operation["tags"][0]).to_owned();
    let mut tags: Vec<_> = operations.iter().map(|(.., it)| tag(it)).collect();
    tags.sort_unstable();
    tags.dedup();
    let schemas = members(document, "/components/schemas")
        .into_iter()
        .flatten();
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
                    @for (name, schema) in schemas {
                        details id={ "schema-" (name) } { summary { code { (name) } } pre { (pretty(schema)) } }
                    }
                }
            }
        }
    }
}

fn operation(path: &str, method: &str, operation: &Value) -> Markup {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    html! {
        details id=(text(&operation["operationId"])) {
            summary {
                span class={ "method " (method) } { (method) } " " code { (path) }
                @if operation.get("security").is_some() { " " span title="needs a token" { "🔒" } }
                span.what { (text(&operation["summary"])) }
            }
            @if let Some(description) = operation.get("description") { p { (text(description)) } }
            @for parameter in parameters { pre { (pretty(parameter)) } }
            @if let Some(body) = operation.get("requestBody") { h3 { "Body" } pre { (pretty(body)) } }
            h3 { "Answers" }
            dl {
                @for (status, response) in members(operation, "/responses").into_iter().flatten() {
                    dt { (status) }
                    dd {
                        (text(&response["description"]))
                        @for (kind, content) in members(response, "/content").into_iter().flatten() {
                            pre { (kind) "\n" (pretty(content)) }
                        }
                    }
                }
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
