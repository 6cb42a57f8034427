//! The desk as an axum router, to mount in a service.
//!
//! | request | what |
//! |---|---|
//! | `GET /groups?consumer=&limit=` | failures by cause |
//! | `GET /messages?consumer=&topic=&key=&kind=&message_id=&fingerprint=&state=&since=&until=&before=&limit=` | a page of messages, without bodies |
//! | `GET /messages/{id}` | one message with headers, body and failures |
//! | `POST /messages/{id}/replay`, `/discard`, `/restore` | an act; `{"reason": …}` |
//! | `POST /messages/{id}/edit` | `{"revision": …, "payload": …, "reason": …}` |
//! | `POST /messages/{id}/dry-run` | runs the handler and rolls back, if there is a replayer; `{"reason": …}` |
//! | `POST /keys/replay` | `{"consumer": …, "topic": …, "key": …, "reason": …}` |
//! | `POST /jobs` | `{"act": "replay" or "discard", "query": {…}, "rate": …, "reason": …}` |
//! | `GET /jobs`, `GET /jobs/{id}`, `POST /jobs/{id}/cancel` | jobs and their progress |
//! | `GET /audit?message=&before=&limit=` | who did what, and why |
//!
//! Errors are problem details (RFC 9457). A callback says who asks, and whether they may.

mod acts;
mod problem;
mod reads;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    http::request::Parts,
    routing::{get, post},
};
use futures_util::future::BoxFuture;
use mainstay_inbox::store::WorkerStore;

use crate::{DeadLetterId, Desk, DryRun, Error, Replayer, Signature, store::QueueStore};
use problem::Problem;

/// What a request needs to be allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a callback must decide on both")]
pub enum Role {
    /// Seeing messages, bodies included.
    Reader,
    /// Replaying, editing, discarding, restoring.
    Operator,
}

/// Why a request is not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "they are the answers 401 and 403")]
pub enum Denied {
    /// It does not say who asks.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
}

type Authorize = Arc<dyn Fn(&Parts, Role) -> Result<String, Denied> + Send + Sync>;
type DryRunner =
    Arc<dyn Fn(DeadLetterId, Signature) -> BoxFuture<'static, Result<DryRun, Error>> + Send + Sync>;

/// Builds the router.
#[must_use = "call into_router() to mount it"]
pub struct Routes<I, S> {
    desk: Desk<I, S>,
    authorize: Authorize,
    dry_run: Option<DryRunner>,
}

impl<I, S> Routes<I, S>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    /// Routes of `desk`. `authorize` answers with the operator's name, which the audit log records.
    pub fn new(
        desk: Desk<I, S>,
        authorize: impl Fn(&Parts, Role) -> Result<String, Denied> + Send + Sync + 'static,
    ) -> Self {
        Self {
            desk,
            authorize: Arc::new(authorize),
            dry_run: None,
        }
    }

    /// Offers dry runs with the handlers of `replayer`, which need not run.
    pub fn dry_runs<T>(mut self, replayer: Replayer<I, S, T>) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        let replayer = Arc::new(replayer);
        self.dry_run = Some(Arc::new(move |id, by| {
            let replayer = Arc::clone(&replayer);
            Box::pin(async move { replayer.dry_run(id, &by).await })
        }));
        self
    }

    /// The router, to nest under a path such as `/api/v1/dlq`.
    pub fn into_router(self) -> Router {
        Router::new()
            .route("/groups", get(reads::groups::<I, S>))
            .route("/messages", get(reads::messages::<I, S>))
            .route("/messages/{id}", get(reads::message::<I, S>))
            .route("/messages/{id}/replay", post(acts::replay::<I, S>))
            .route("/messages/{id}/discard", post(acts::discard::<I, S>))
            .route("/messages/{id}/restore", post(acts::restore::<I, S>))
            .route("/messages/{id}/edit", post(acts::edit::<I, S>))
            .route("/messages/{id}/dry-run", post(acts::dry_run::<I, S>))
            .route("/keys/replay", post(acts::replay_key::<I, S>))
            .route("/jobs", get(reads::jobs::<I, S>).post(acts::start::<I, S>))
            .route("/jobs/{id}", get(reads::job::<I, S>))
            .route("/jobs/{id}/cancel", post(acts::cancel::<I, S>))
            .route("/audit", get(reads::audit::<I, S>))
            .fallback(|| async { Problem::no_route() })
            .with_state(Arc::new(self))
    }

    fn operator(&self, parts: &Parts, role: Role) -> Result<String, Problem> {
        (self.authorize)(parts, role).map_err(Problem::denied)
    }
}

impl<I, S> fmt::Debug for Routes<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("desk", &self.desk)
            .finish_non_exhaustive()
    }
}
