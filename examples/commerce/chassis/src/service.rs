//! A running service as its process sees it.

use std::{fmt, pin::Pin};

use axum::Router;

use crate::{Belonging, Result, Vitals};

/// Background work; ends after shutdown, or with what nothing heals.
pub type Task = Pin<Box<dyn Future<Output = Result<()>> + Send + 'static>>;

/// A service: what it answers, and what it does behind that.
#[non_exhaustive]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Its routes.
    pub router: Router,
    /// To be spawned, each with a name.
    pub tasks: Vec<(&'static str, Task)>,
    /// How that work is.
    pub vitals: Vitals,
    /// To be settled before anything runs.
    pub belonging: Belonging,
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
