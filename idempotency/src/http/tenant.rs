//! Whose keys a request uses.

use std::{borrow::Cow, convert::Infallible};

use axum::{extract::FromRequestParts, http::request::Parts};

/// An extractor that says whose request it is: usually the one that authenticates the caller.
///
/// ```
/// # use mainstay_idempotency::http::Tenant;
/// # use std::borrow::Cow;
/// struct Account { id: u64 } // with `impl FromRequestParts`, which checks credentials
///
/// impl Tenant for Account {
///     fn tenant(&self) -> Cow<'_, str> { self.id.to_string().into() }
/// }
/// // async fn place(order: Keyed<PlaceOrder, Account>) …
/// ```
pub trait Tenant {
    /// The tenant's name. Two tenants never share one.
    fn tenant(&self) -> Cow<'_, str>;
}

/// All callers share one space of keys: for services with one tenant only.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct SingleTenant;

impl Tenant for SingleTenant {
    fn tenant(&self) -> Cow<'_, str> {
        "".into()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SingleTenant {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}
