//! The header `Idempotency-Key`.

use std::borrow::Cow;

use axum::extract::MatchedPath;
use axum::http::{HeaderMap, request::Parts};

use super::Problem;
use crate::{Fingerprint, Key, KeyedRequest, Scope};

const NAME: &str = "idempotency-key";

/// What the caller wrote into the header; `None` without the header.
pub(super) fn key_text(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::invalid_key(
            "the header Idempotency-Key is given twice",
        ));
    }
    let text = value.to_str().ok().and_then(unquoted);
    match text {
        Some(text) => Ok(Some(text.into_owned())),
        None => Err(Problem::invalid_key(
            "the header Idempotency-Key is neither a string of RFC 8941 nor plain printable ASCII",
        )),
    }
}

/// The content of a string of RFC 8941, or the text itself where it has no quotes.
fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = text.strip_prefix('"') else {
        return (!text.contains('"')).then_some(text.into());
    };
    let inner = rest.strip_suffix('"')?;
    let mut content = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => content.push(escaped),
                _ => return None,
            },
            '"' => return None,
            _ => content.push(character),
        }
    }
    Some(content.into())
}

/// Method and route of a request: `POST /orders/{id}`. Outside a route, its path stands for it.
pub(super) fn operation(parts: &Parts) -> String {
    let route = parts.extensions.get::<MatchedPath>();
    let route = route.map_or_else(|| parts.uri.path(), MatchedPath::as_str);
    format!("{} {route}", parts.method)
}

/// A request's key in its scope, and a fingerprint over scope, target and body.
pub(super) fn keyed(
    tenant: &str,
    parts: &Parts,
    text: &str,
    body: &[u8],
) -> Result<KeyedRequest, Problem> {
    let scope = Scope::new(tenant, &operation(parts));
    let scope = scope.map_err(|error| Problem::invalid_key(error.to_string()))?;
    let key = key(&scope, text)?;
    let target = parts.uri.path_and_query();
    let target = target.map_or("", |target| target.as_str());
    Ok(KeyedRequest {
        fingerprint: Fingerprint::of(&scope, &[target.as_bytes(), body]),
        key,
    })
}

fn key(scope: &Scope, text: &str) -> Result<Key, Problem> {
    let key = scope.key(text);
    key.map_err(|error| Problem::invalid_key(error.to_string()))
}
