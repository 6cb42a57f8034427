//! The OpenAPI document of a service, written beside its handlers. The only file that names `utoipa`.
//!
//! ```
//! use axum::Json;
//! use commerce_chassis::{OpenApiRouter, PathParam, Problem, Refused, routes, utoipa};
//!
//! #[derive(serde::Serialize, utoipa::ToSchema)]
//! struct Stock {
//!     sku: String,
//!     available: i64,
//! }
//!
//! /// How much of a product can be sold.
//! #[utoipa::path(get, path = "/api/v1/stock/{sku}", operation_id = "show_stock", tag = "inventory",
//!     params(("sku" = String, Path)), responses((status = OK, body = Stock), Refused))]
//! async fn show(PathParam(sku): PathParam) -> Result<Json<Stock>, Problem> {
//!     Ok(Json(Stock { sku, available: 7 }))
//! }
//!
//! let (router, document) = OpenApiRouter::<()>::new().routes(routes!(show)).split_for_parts();
//! # let _: axum::Router = router;
//! assert!(document.paths.paths.contains_key("/api/v1/stock/{sku}"));
//! ```

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::{
    IntoResponses, PartialSchema as _, ToSchema,
    openapi::{
        Content, Info, OpenApi, PathItem, Paths, RefOr, Response, ResponseBuilder,
        schema::Schema,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

pub use utoipa;
pub use utoipa_axum::{router::OpenApiRouter, routes};

/// The name of the scheme of access tokens in the document.
const BEARER: &str = "token";

/// The answers that are problems: every status but those that a route names.
#[derive(Clone, Copy, Debug)]
pub struct Refused;

/// A problem (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it describes what `Problem` writes")]
struct Document {
    /// The kind of problem, stable.
    r#type: String,
    /// A summary, the same for every problem of the type.
    title: String,
    status: u16,
    /// The fault of this request.
    detail: String,
}

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = Content::new(Some(Document::schema()));
        let response = ResponseBuilder::new()
            .description("A problem (RFC 9457) with a stable type")
            .content("application/problem+json", content);
        [("default".to_owned(), response.build().into())].into()
    }
}

/// One document of the documents of several services. Paths and schemas keep their names; the
/// operations that need a token say so.
#[must_use]
pub fn merged(documents: impl IntoIterator<Item = OpenApi>) -> OpenApi {
    let mut info = Info::new("commerce", env!("CARGO_PKG_VERSION"));
    info.description = Some("The shop: eight services behind one gateway".to_owned());
    let mut whole = OpenApi::new(info, Paths::new());
    for document in documents {
        whole.merge(document);
    }
    for item in whole.paths.paths.values_mut() {
        describe(item);
    }
    let components = whole.components.get_or_insert_default();
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT");
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    whole
}

/// Gives every answer the description that `OpenAPI` asks for: that of its status, if there is no
/// other.
fn describe(item: &mut PathItem) {
    let operations = [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ];
    for operation in operations.into_iter().flatten() {
        for (status, response) in &mut operation.responses.responses {
            let status = status.parse::<StatusCode>().ok();
            let reason = status.and_then(|status| status.canonical_reason());
            if let RefOr::T(response) = response
                && response.description.is_empty()
            {
                reason
                    .unwrap_or("The answer")
                    .clone_into(&mut response.description);
            }
        }
    }
}

/// An operation that needs a token.
#[must_use]
pub fn needs_token() -> SecurityRequirement {
    SecurityRequirement::new(BEARER, Vec::<String>::new())
}

/// A schema of any JSON value.
#[must_use]
pub fn any_json() -> RefOr<Schema> {
    serde_json::Value::schema()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says when.
    #[utoipa::path(get, path = "/when", operation_id = "when", responses((status = OK, body = String), Refused))]
    async fn when() -> String {
        "now".to_owned()
    }

    #[test]
    fn every_answer_has_a_description() {
        let router = OpenApiRouter::<()>::new().routes(routes!(when));
        let document = merged([router.into_openapi()]);
        let json = serde_json::to_string(&document).unwrap();
        assert!(json.contains(r#""description":"OK""#), "{json}");
    }
}
