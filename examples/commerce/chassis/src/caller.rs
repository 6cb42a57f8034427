//! Who calls.

use axum::{extract::FromRequestParts, http::StatusCode, http::request::Parts};
use commerce_contracts::Role;

use crate::{Claims, Problem};

/// Who sent a request: an extractor for handlers.
///
/// With a token, the caller is the token's user. Without one, a request is refused, unless the
/// deployment is open: then the caller is anybody, who may do everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller(Who);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Who {
    Anybody,
    User { id: String, operator: bool },
}

/// What `authenticate` found out about a request: the caller, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Authenticated(pub(crate) Result<Caller, Problem>);

impl Caller {
    /// Anybody, in an open deployment.
    #[must_use]
    pub const fn anybody() -> Self {
        Self(Who::Anybody)
    }

    /// A user who is a customer.
    pub fn customer(id: impl Into<String>) -> Self {
        let (id, operator) = (id.into(), false);
        Self(Who::User { id, operator })
    }

    /// A user, or a part of the application, that may do everything.
    pub fn operator(id: impl Into<String>) -> Self {
        let (id, operator) = (id.into(), true);
        Self(Who::User { id, operator })
    }

    pub(crate) fn of(claims: Claims) -> Self {
        let operator = claims.roles.contains(&Role::Operator);
        let id = claims.sub;
        Self(Who::User { id, operator })
    }

    /// The user; none = anybody.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        match &self.0 {
            Who::Anybody => None,
            Who::User { id, .. } => Some(id),
        }
    }

    /// Whether the caller may see and do everything.
    #[must_use]
    pub const fn is_operator(&self) -> bool {
        matches!(self.0, Who::Anybody | Who::User { operator: true, .. })
    }

    /// Refuses everyone but operators.
    ///
    /// # Errors
    /// 403.
    pub fn require_operator(&self) -> Result<(), Problem> {
        if self.is_operator() {
            return Ok(());
        }
        Err(Problem::forbidden("only operators may do this"))
    }

    /// Whether the caller may see what belongs to the user `owner`. Answer [`Problem::not_found`]
    /// otherwise: whether a foreign object exists is nobody's business.
    #[must_use]
    pub fn may_see(&self, owner: &str) -> bool {
        self.is_operator() || self.user_id() == Some(owner)
    }

    /// The customer on whose behalf the caller acts, if the request names `named`: the caller, or,
    /// for operators and anybody, whoever the request names.
    ///
    /// # Errors
    /// 403: the request names somebody else. 422: nobody is named, and the caller is anybody.
    pub fn acts_for(&self, named: Option<&str>) -> Result<String, Problem> {
        match (self.user_id(), named) {
            (_, Some(named)) if self.may_see(named) => Ok(named.to_owned()),
            (_, Some(_)) => Err(Problem::forbidden(
                "customers act for themselves: leave the customer out, or name yourself",
            )),
            (Some(user), None) => Ok(user.to_owned()),
            (None, None) => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "customer-missing",
                "The request names no customer",
                "name the customer, or send a token",
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Authenticated>() {
            Some(Authenticated(found)) => found.clone(),
            // Routes are only reached through `ServiceBuilder::build`, which authenticates.
            None => Err(Problem::unauthenticated("token-missing", "send a token")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_act_for_themselves_and_operators_for_everyone() {
        let (ada, operator) = (Caller::customer("ada"), Caller::operator("op"));
        assert_eq!(ada.acts_for(None).unwrap(), "ada");
        assert_eq!(ada.acts_for(Some("ada")).unwrap(), "ada");
        let foreign = ada.acts_for(Some("bob")).unwrap_err();
        assert_eq!(foreign.status, StatusCode::FORBIDDEN);
        assert_eq!(operator.acts_for(Some("bob")).unwrap(), "bob");
        assert_eq!(Caller::anybody().acts_for(Some("bob")).unwrap(), "bob");
        let nobody = Caller::anybody().acts_for(None).unwrap_err();
        assert_eq!(nobody.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(ada.may_see("ada") && !ada.may_see("bob") && operator.may_see("bob"));
        let refused = ada.require_operator().unwrap_err();
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
}
