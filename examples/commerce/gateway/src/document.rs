//! One OpenAPI document of all services.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::Method;
use commerce_chassis::{
    Problem, merged, needs_token,
    utoipa::openapi::{OpenApi, PathItem, path::Operation},
};
use futures_util::future::try_join_all;

use crate::{
    routes::{Access, routes},
    upstream::Upstream,
};

/// The services by name.
pub(crate) type Upstreams = BTreeMap<String, Arc<Upstream>>;

/// The document of all services. A service of another process that cannot be asked fails it: half a
/// document would mislead.
pub(crate) async fn whole(upstreams: &Upstreams) -> Result<OpenApi, Problem> {
    let documents = upstreams.values().map(|upstream| upstream.document());
    let documents = try_join_all(documents).await?;
    let mut whole = merged(documents.into_iter().cloned());
    for route in routes() {
        let item = whole.paths.paths.get_mut(&*route.path);
        let operation = item.and_then(|item| operation_of(item, &route.method));
        if let Some(operation) = operation
            && matches!(route.access, Access::User | Access::Operator)
        {
            operation.security = Some(vec![needs_token()]);
        }
    }
    Ok(whole)
}

fn operation_of<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    let operation = match *method {
        Method::GET => &mut item.get,
        Method::POST => &mut item.post,
        Method::PUT => &mut item.put,
        Method::PATCH => &mut item.patch,
        _ => &mut item.delete,
    };
    operation.as_mut()
}
