//! A service as its process runs it.

use std::{fmt, pin::Pin};

use axum::Router;
use utoipa::openapi::OpenApi;

use crate::{HealthCheck, LogBinding, Result};

/// Background work. It ends after shutdown, or with an error that does not heal.
pub type Task = Pin<Box<dyn Future<Output = Result<()>> + Send + 'static>>;

/// A service: its routes and its background work.
#[non_exhaustive]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Its routes.
    pub router: Router,
    /// What its routes take and answer.
    pub document: OpenApi,
    /// Its tasks by name, to be spawned.
    pub tasks: Vec<(&'static str, Task)>,
    /// Reports the health of its relay and worker.
    pub health: HealthCheck,
    /// Binds its database to the log; call [`bind`](LogBinding::bind) before spawning the tasks.
    pub log_binding: LogBinding,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field(
                "tasks",
                &self.tasks.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}
