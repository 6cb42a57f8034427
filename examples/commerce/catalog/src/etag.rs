//! The versions that a client knows: `If-Match` and `If-None-Match` (RFC 9110). Pure.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use commerce_chassis::Problem;

/// What a header of conditions names.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Tags {
    /// `*`: whatever there is.
    Any,
    /// These, as they came.
    These(Vec<String>),
}

impl Tags {
    /// None without the header. A tag holds no comma here, so a comma separates tags.
    fn of(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter().peekable();
        values.peek()?;
        let texts = values.filter_map(|value| value.to_str().ok());
        let tags = texts.flat_map(|text| text.split(','));
        let tags: Vec<String> = tags.map(|tag| tag.trim().to_owned()).collect();
        if tags.iter().any(|tag| tag == "*") {
            return Some(Self::Any);
        }
        Some(Self::These(tags))
    }
}

/// The condition of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct IfMatch(Tags);

impl IfMatch {
    /// Reads `If-Match`, which every change needs.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let tags = Tags::of(headers, header::IF_MATCH);
        tags.map(Self).ok_or_else(|| {
            Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                "The change does not say which version it is of",
                "send If-Match with the ETag of the product",
            )
        })
    }

    /// Whether the client knows this version; a weak tag never says so.
    pub(crate) fn check(&self, etag: &str) -> Result<(), Problem> {
        match &self.0 {
            Tags::Any => Ok(()),
            Tags::These(tags) if tags.iter().any(|tag| tag == etag) => Ok(()),
            Tags::These(_) => Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "The product has changed",
                format!("its ETag is {etag}: read it, and decide again"),
            )),
        }
    }
}

/// Whether the client has this version already; a weak tag says so too.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    match Tags::of(headers, header::IF_NONE_MATCH) {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::These(tags)) => {
            let strong = |tag: &String| tag.strip_prefix("W/").unwrap_or(tag) == etag;
            tags.iter().any(strong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_change_names_the_version_that_it_is_of() {
        let refused = IfMatch::of(&HeaderMap::new()).unwrap_err();
        assert_eq!(refused.status, StatusCode::PRECONDITION_REQUIRED);
        for (values, holds) in [
            (&["\"1-low\""][..], true),
            (&["\"0-low\", \"1-low\""], true),
            (&["\"0-low\"", "\"1-low\""], true),
            (&["*"], true),
            (&["W/\"1-low\""], false),
            (&["\"1-out\""], false),
            (&["1-low"], false),
            (&[""], false),
        ] {
            let condition = IfMatch::of(&headers(&header::IF_MATCH, values)).unwrap();
            let checked = condition.check("\"1-low\"");
            assert_eq!(checked.is_ok(), holds, "{values:?}");
        }
    }

    #[test]
    fn a_client_may_know_the_version() {
        for (values, known) in [
            (&[][..], false),
            (&["\"1-low\""], true),
            (&["W/\"1-low\""], true),
            (&["*"], true),
            (&["\"1-out\""], false),
        ] {
            let headers = headers(&header::IF_NONE_MATCH, values);
            assert_eq!(is_known(&headers, "\"1-low\""), known, "{values:?}");
        }
    }
}
