//! Who looks at a page: what a visitor's browser says, and what of it the services hear.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{
        HeaderMap, Method, Request,
        header::{ACCEPT, AUTHORIZATION, COOKIE},
        request::{Builder, Parts},
    },
};
use percent_encoding::percent_decode_str;

use crate::api::escaped;

/// The cookie in which a browser keeps the name that its operator signs with.
pub(crate) const OPERATOR: &str = "operator";
/// The cookie with the customer that the visitor buys for.
pub(crate) const CUSTOMER: &str = "customer";
/// The cookie with the access token of somebody who has logged in.
pub(crate) const ACCESS: &str = "access";

/// Headers of the visitor that the services hear, too.
const FORWARDED: [&str; 4] = [
    "authorization",
    "traceparent",
    "x-request-id",
    "accept-language",
];

/// A visitor.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    headers: HeaderMap,
    operator: Option<String>,
    /// The visitor's address; none = the server does not tell it.
    peer: Option<ConnectInfo<SocketAddr>>,
}

impl Visit {
    /// A request to the services in the visitor's name.
    pub(crate) fn forwarded(&self, method: Method, path: &str) -> Builder {
        let mut request = Request::builder().method(method).uri(path);
        for name in FORWARDED {
            if let Some(value) = self.headers.get(name) {
                request = request.header(name, value);
            }
        }
        if let Some(token) = self.cookie(ACCESS) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(operator) = &self.operator {
            request = request.header("x-operator", operator);
        }
        // A gateway in this process counts the visitor's requests, as if they came directly.
        match self.peer {
            Some(peer) => request.extension(peer),
            None => request,
        }
    }

    /// The same visitor, who signs an act with this name.
    pub(crate) fn signed(mut self, operator: &str) -> Self {
        self.operator = Some(operator.to_owned());
        self
    }

    /// The name that the operator signed with last.
    pub(crate) fn operator(&self) -> String {
        self.cookie(OPERATOR).unwrap_or_default()
    }

    /// The customer that the visitor buys for.
    pub(crate) fn customer(&self) -> String {
        self.cookie(CUSTOMER)
            .unwrap_or_else(|| "cust-001".to_owned())
    }

    /// Whether the visitor has logged in.
    pub(crate) fn has_session(&self) -> bool {
        self.cookie(ACCESS).is_some()
    }

    fn cookie(&self, wanted: &str) -> Option<String> {
        let lines = self.headers.get_all(COOKIE).iter();
        let mut pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
        let value = percent_decode_str(value).decode_utf8();
        value.ok().map(Into::into)
    }

    /// Whether the visitor asks for a page. Whoever takes anything, as curl does, gets JSON.
    pub(crate) fn wants_page(&self) -> bool {
        let accept = self.headers.get(ACCEPT).and_then(|it| it.to_str().ok());
        accept.is_some_and(|accept| accept.contains("text/html"))
    }
}

/// A cookie of this browser session, which no script reads and no other site sends.
pub(crate) fn cookie(name: &str, value: &str) -> String {
    format!(
        "{name}={}; Path=/; HttpOnly; SameSite=Strict",
        escaped(value)
    )
}

/// A cookie that the browser drops after so many seconds.
pub(crate) fn lasting(name: &str, value: &str, seconds: u64) -> String {
    format!("{}; Max-Age={seconds}", cookie(name, value))
}

/// Takes a cookie back.
pub(crate) fn forgotten(name: &str) -> String {
    format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            headers: parts.headers.clone(),
            operator: None,
            peer: parts.extensions.get().copied(),
        })
    }
}
