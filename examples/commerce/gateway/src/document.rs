//! One OpenAPI document of all services. It is put together as JSON: `utoipa` does not read every
//! schema that it writes.

use std::{collections::BTreeMap, sync::Arc};

use commerce_chassis::{Problem, merged, needs_token, utoipa::openapi::OpenApi};
use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use crate::{
    routes::{Access, routes},
    upstream::Upstream,
};

/// The services by name.
pub(crate) type Upstreams = BTreeMap<String, Arc<Upstream>>;

/// A document as JSON.
pub(crate) fn as_json(documents: impl IntoIterator<Item = OpenApi>) -> Value {
    // Maps with texts as keys always serialise.
    serde_json::to_value(merged(documents)).unwrap_or_default()
}

/// The document of all services. A service of another process that cannot be asked fails it: half a
/// document would mislead.
pub(crate) async fn whole(upstreams: &Upstreams) -> Result<Value, Problem> {
    let documents = upstreams.values().map(|upstream| upstream.document());
    let documents = try_join_all(documents).await?;
    let mut whole = as_json([]);
    for part in ["/paths", "/components/schemas"] {
        let found = documents
            .iter()
            .filter_map(|document| members(document, part));
        let all: Map<_, _> = found
            .flatten()
            .map(|(name, it)| (name.clone(), it.clone()))
            .collect();
        let (parent, name) = part.rsplit_once('/').unwrap_or_default();
        if let Some(parent) = whole.pointer_mut(parent) {
            parent[name] = Value::Object(all);
        }
    }
    for route in routes() {
        let method = route.method.as_str().to_lowercase();
        let item = whole["paths"].get_mut(&*route.path);
        let operation = item.and_then(|item| item.get_mut(method));
        if let Some(operation) = operation
            && matches!(route.access, Access::User | Access::Operator)
        {
            operation["security"] = json!([needs_token()]);
        }
    }
    Ok(whole)
}

/// The members of an object in a document.
pub(crate) fn members<'a>(document: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    document.pointer(pointer)?.as_object()
}
