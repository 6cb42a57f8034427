//! A server for one test, which may do to it what it likes.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Binaries, Instance, NAME, Options, Server};
use crate::{Directory, Error, blocking::elsewhere, suites::or_left_out};

/// A server of a test's own, on a port that stays the same while the server is down. It and its data go with the
/// last clone of this value, or with the process.
///
/// Starting and stopping happen on another thread: what the test runs meanwhile sees the server come and go.
#[derive(Clone, Debug)]
pub struct PrivateServer {
    instance: Arc<Mutex<Instance>>,
    url: String,
}

impl PrivateServer {
    /// A server with the usual settings.
    pub async fn start() -> Result<Self, Error> {
        elsewhere(|| {
            let options = Options::new(Binaries::find(None)?);
            let instance = Instance::start(Directory::new(NAME)?, options)?;
            Ok(Self {
                url: instance.url(),
                instance: Arc::new(Mutex::new(instance)),
            })
        })
        .await
    }

    /// As [`PrivateServer::start`]; where PostgreSQL cannot be had, says that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If the suite [must run](crate::must_run) and PostgreSQL cannot be had.
    pub async fn for_suite(suite: &str) -> Result<Option<Self>, Error> {
        or_left_out(suite, NAME, Self::start().await)
    }

    /// Ends the server at once, as `pg_ctl stop -m immediate` does: the next start recovers.
    pub async fn kill_immediate(&self) -> Result<(), Error> {
        self.with(Instance::kill).await
    }

    /// Stops the server as an administrator does (`-m fast`). The data stays.
    pub async fn stop(&self) -> Result<(), Error> {
        self.with(Instance::stop).await
    }

    /// Starts the stopped server on the same port and data; returns when it answers.
    pub async fn start_again(&self) -> Result<(), Error> {
        self.with(Instance::start_again).await
    }

    /// Stops the server and starts it again, with these settings on top of all earlier ones, as `("max_connections", "10")`.
    pub async fn restart_with(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let settings = settings.iter().map(owned).collect();
        self.with(move |instance| {
            instance.stop()?;
            instance.set(settings);
            instance.start_again()
        })
        .await
    }

    /// Stops the server and removes its data. Dropping does so as well, and says nothing.
    pub async fn close(self) -> Result<(), Error> {
        self.with(Instance::end_and_clear).await
    }

    async fn with(
        &self,
        act: impl FnOnce(&mut Instance) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let instance = Arc::clone(&self.instance);
        elsewhere(move || act(&mut instance.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// The URL of its database `postgres`, with the superuser's password; the same after a restart.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Databases of this server, and connections to it.
    pub fn server(&self) -> Result<Server, sqlx::Error> {
        Server::at(&self.url)
    }
}
