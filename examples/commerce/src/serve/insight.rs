//! Who may see how a process is inside: everyone in an open shop, operators elsewhere.

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderMap,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use commerce_chassis::{Access, Authentication, Problem};

/// Who may. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Insight(Option<Authentication>);

impl Insight {
    pub(crate) fn new(access: Access, authentication: Authentication) -> Self {
        Self((access == Access::Required).then_some(authentication))
    }

    /// Refuses whoever may not.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match &self.0 {
            Some(authentication) => authentication.caller(headers)?.require_operator(),
            None => Ok(()),
        }
    }

    /// The user whom a token names; none = nobody needs one.
    pub(crate) fn user(&self, headers: &HeaderMap) -> Result<Option<String>, Problem> {
        let Some(authentication) = &self.0 else {
            return Ok(None);
        };
        let caller = authentication.caller(headers)?;
        Ok(caller.user_id().map(str::to_owned))
    }

    /// The same routes, for those who may.
    pub(crate) fn guard(&self, router: Router) -> Router {
        // A layer of no route would panic.
        if !router.has_routes() {
            return router;
        }
        router.route_layer(from_fn_with_state(self.clone(), guard))
    }
}

async fn guard(
    State(insight): State<Insight>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    insight.check(request.headers())?;
    Ok(next.run(request).await)
}
