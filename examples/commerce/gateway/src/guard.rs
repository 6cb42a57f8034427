//! Who calls, whether the caller may, and how often.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request},
    response::{IntoResponse as _, Response},
};
use commerce_chassis::{Authentication, Caller, Problem};

use crate::{
    limit::{Client, Limiter},
    routes::Access,
    upstream::Upstream,
};

/// A route with all that stands before its service.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) access: Access,
    pub(crate) cost: u32,
    pub(crate) authentication: Authentication,
    /// None = any number of requests.
    pub(crate) limiter: Arc<Option<Limiter>>,
    pub(crate) upstream: Arc<Upstream>,
}

impl Guarded {
    pub(crate) async fn answer(self: Arc<Self>, mut request: Request) -> Response {
        match self.admit(&mut request).await {
            Ok(caller) => self.upstream.call(request, caller).await,
            Err(problem) => problem.into_response(),
        }
    }

    /// The caller; none = somebody whom a public route does not ask for a token.
    async fn admit(&self, request: &mut Request) -> Result<Option<Caller>, Problem> {
        let found = self.authentication.identify(request);
        // Guesses of tokens count too.
        let client = self.client(request, found.as_ref().ok());
        if let (Some(limiter), Some(client)) = (&*self.limiter, client) {
            limiter.count(&client, self.cost).await?;
        }
        match self.access {
            Access::Public | Access::Login | Access::Signed => Ok(found.ok()),
            Access::User => found.map(Some),
            Access::Operator => {
                let caller = found?;
                caller.require_operator()?;
                Ok(Some(caller))
            }
        }
    }

    /// Whose request it is; none = it comes from within the process.
    fn client(&self, request: &Request, caller: Option<&Caller>) -> Option<Client> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let user = caller.and_then(Caller::user_id);
        // Logins count by address: whoever guesses passwords takes many names.
        match (user, peer) {
            (Some(user), _) if self.access != Access::Login => Some(Client::User(user.to_owned())),
            (_, Some(ConnectInfo(peer))) => Some(Client::at(peer.ip())),
            (_, None) => None,
        }
    }
}
