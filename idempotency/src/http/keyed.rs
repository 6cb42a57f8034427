//! The extractors.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse as _, Response},
};
use serde::de::DeserializeOwned;

use super::{Problem, SingleTenant, Tenant, header};
use crate::KeyedRequest;

/// A request with an `Idempotency-Key`, and its JSON body: the last argument of a handler.
///
/// `N` says whose keys these are: an extractor of the service that authenticates the caller. Without
/// it all callers are one tenant. The scope of the key is the tenant, the method and the route; the
/// fingerprint covers the scope, the path with its query, and the body.
///
/// The body may have as many bytes as axum's `DefaultBodyLimit` says, 2 MB by default.
///
/// # Errors
/// 400 for a missing or malformed key, or a body that is not the JSON of a `T`; 413 for a body
/// beyond the limit; what `N` rejects.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Keyed<T, N = SingleTenant> {
    /// What the request asks for.
    pub body: T,
    /// Its key and its fingerprint, for [`Records::begin`](crate::Records::begin). A service whose
    /// tenants are named in the body, or that compares requests otherwise, puts its own here.
    pub request: KeyedRequest,
    /// Whose request it is.
    pub tenant: N,
}

impl<T, N> Keyed<T, N> {
    /// The same request with a body that `read` made of this one: for checks of the service's own,
    /// which a wrong request fails before its key is looked up. The fingerprint stays that of the
    /// bytes that came.
    ///
    /// # Errors
    /// What `read` returns.
    pub fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Keyed<U, N>, E> {
        Ok(Keyed {
            body: read(self.body)?,
            request: self.request,
            tenant: self.tenant,
        })
    }
}

/// As [`Keyed`], for a route on which the key may be missing: such a request has no protection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OptionallyKeyed<T, N = SingleTenant> {
    /// What the request asks for.
    pub body: T,
    /// Its key and its fingerprint; `None` without the header.
    pub request: Option<KeyedRequest>,
    /// Whose request it is.
    pub tenant: N,
}

impl<S, T, N> FromRequest<S> for Keyed<T, N>
where
    S: Send + Sync,
    T: DeserializeOwned,
    N: FromRequestParts<S> + Tenant + Send,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        // Without a key there is no reason to read the body.
        let missing = header::key_text(request.headers()).map(|text| text.is_none());
        if missing.map_err(Problem::into_response)? {
            return Err(Problem::key_is_missing().into_response());
        }
        let OptionallyKeyed {
            body,
            request,
            tenant,
        } = OptionallyKeyed::from_request(request, state).await?;
        let request = request.ok_or_else(|| Problem::key_is_missing().into_response())?;
        Ok(Self {
            body,
            request,
            tenant,
        })
    }
}

impl<S, T, N> FromRequest<S> for OptionallyKeyed<T, N>
where
    S: Send + Sync,
    T: DeserializeOwned,
    N: FromRequestParts<S> + Tenant + Send,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let tenant = N::from_request_parts(&mut parts, state).await;
        let tenant = tenant.map_err(N::Rejection::into_response)?;
        let text = header::key_text(&parts.headers).map_err(Problem::into_response)?;
        let request = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|refused| {
                Problem::new(refused.status(), refused.body_text()).into_response()
            })?;
        let keyed = |text: String| header::keyed(&tenant.tenant(), &parts, &text, &bytes);
        let request = text.map(keyed).transpose();
        let request = request.map_err(Problem::into_response)?;
        let body = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::malformed(format!(
                "the body is not what this operation takes: {error}"
            ))
            .into_response()
        })?;
        Ok(Self {
            body,
            request,
            tenant,
        })
    }
}
