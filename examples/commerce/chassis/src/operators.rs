//! Who may see and change the messages that a service could not handle.

use std::{fmt, sync::Arc};

use axum::http::{HeaderMap, request::Parts};
use mainstay_dlq::http::{Denied, Role};
use subtle::ConstantTimeEq as _;

use crate::{authentication::bearer, caller::Authenticated};

/// The header that names the operator. The audit log records the name.
const OPERATOR: &str = "x-operator";

/// How operators prove that they are.
#[derive(Clone)]
pub struct Operators(Access);

#[derive(Clone)]
enum Access {
    /// Everyone who is not refused already.
    Open,
    /// Whoever sends this token.
    Token(Arc<str>),
    /// Nobody without an access token.
    Nobody,
}

impl Operators {
    /// Everyone who needs no token. Where requests need one, operators need theirs.
    #[must_use]
    pub const fn everyone() -> Self {
        Self(Access::Open)
    }

    /// Whoever sends an access token of an operator.
    #[must_use]
    pub const fn with_access_token() -> Self {
        Self(Access::Nobody)
    }

    /// Whoever sends `Authorization: Bearer TOKEN`, or an access token of an operator.
    #[must_use]
    pub fn with_token(token: &str) -> Self {
        Self(Access::Token(token.into()))
    }

    /// Whether this is the token of operators.
    pub(crate) fn has_token(&self, given: &str) -> bool {
        match &self.0 {
            Access::Token(token) => given.as_bytes().ct_eq(token.as_bytes()).into(),
            Access::Open | Access::Nobody => false,
        }
    }

    /// How the operator calls himself in `X-Operator`, which is UTF-8.
    #[must_use]
    pub fn named(headers: &HeaderMap) -> Option<&str> {
        let name = str::from_utf8(headers.get(OPERATOR)?.as_bytes());
        let name = name.ok()?.trim();
        (!name.is_empty()).then_some(name)
    }

    /// The operator's name. Reading needs none. An access token names its user.
    pub(crate) fn authorize(&self, parts: &Parts, role: Role) -> Result<String, Denied> {
        let token = bearer(&parts.headers);
        if !token.is_some_and(|token| self.has_token(token)) {
            match parts.extensions.get() {
                Some(Authenticated(Err(_))) => return Err(Denied::Unauthenticated),
                Some(Authenticated(Ok(caller))) => {
                    if let Some(user) = caller.user_id() {
                        let user = caller.is_operator().then(|| user.to_owned());
                        return user.ok_or(Denied::Forbidden);
                    }
                }
                _ => {}
            }
            match &self.0 {
                Access::Open => {}
                Access::Nobody => return Err(Denied::Forbidden),
                Access::Token(_) => return Err(Denied::Unauthenticated),
            }
        }
        match (role, Self::named(&parts.headers)) {
            (_, Some(name)) => Ok(name.to_owned()),
            (Role::Reader, None) => Ok(String::new()),
            (Role::Operator, None) => Err(Denied::Unauthenticated),
        }
    }
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Access::Open => "Operators(everyone)",
            Access::Token(_) => "Operators(a token)",
            Access::Nobody => "Operators(nobody)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Caller, Problem};
    use axum::http::Request;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_name_is_any_text() {
        for (sent, name) in [
            ("Jörg", Some("Jörg")),
            (" ada ", Some("ada")),
            (" ", None),
            ("", None),
        ] {
            let parts = parts(&[("x-operator", sent)]);
            assert_eq!(Operators::named(&parts.headers), name, "{sent:?}");
        }
    }

    #[test]
    fn an_act_needs_a_name_and_the_token_if_there_is_one() {
        let ada = parts(&[("x-operator", "ada")]);
        let nameless = parts(&[]);
        let open = Operators::everyone();
        assert_eq!(open.authorize(&ada, Role::Operator), Ok("ada".to_owned()));
        assert_eq!(open.authorize(&nameless, Role::Reader), Ok(String::new()));
        let denied = open.authorize(&nameless, Role::Operator);
        assert_eq!(denied, Err(Denied::Unauthenticated));

        let closed = Operators::with_access_token();
        let denied = closed.authorize(&ada, Role::Reader);
        assert_eq!(denied, Err(Denied::Forbidden));

        let guarded = Operators::with_token("secret");
        for token in ["Bearer other", "Bearer secre", "secret", ""] {
            let asked = parts(&[("x-operator", "ada"), ("authorization", token)]);
            let denied = guarded.authorize(&asked, Role::Reader);
            assert_eq!(denied, Err(Denied::Unauthenticated), "{token}");
        }
        let asked = parts(&[("x-operator", "ada"), ("authorization", "Bearer secret")]);
        assert!(guarded.authorize(&asked, Role::Operator).is_ok());
        assert!(!format!("{guarded:?}").contains("secret"));
    }

    #[test]
    fn whom_the_service_refuses_is_no_operator_even_at_an_open_desk() {
        let refused = Problem::unauthenticated("token-missing", "send a token");
        for headers in [&[][..], &[("authorization", "Bearer old")]] {
            let mut asked = parts(headers);
            asked.extensions.insert(Authenticated(Err(refused.clone())));
            for operators in [Operators::everyone(), Operators::with_access_token()] {
                let denied = operators.authorize(&asked, Role::Reader);
                assert_eq!(denied, Err(Denied::Unauthenticated), "{operators:?}");
            }
        }
        let mut anybody = parts(&[]);
        anybody
            .extensions
            .insert(Authenticated(Ok(Caller::anybody())));
        let read = Operators::everyone().authorize(&anybody, Role::Reader);
        assert_eq!(read, Ok(String::new()));
    }
}
