//! A server for one test, which may do to it what it likes.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Binaries, Instance, NAME, Options};
use crate::{Directory, Error, blocking::elsewhere, suites::or_skipped};

/// A server of a test's own, on a port that stays the same while the server is down. It goes with the last clone of this value, or
/// with the process.
///
/// Starting and stopping happen on another thread: what the test runs meanwhile sees the server come and go.
#[derive(Clone, Debug)]
pub struct PrivateServer {
    instance: Arc<Mutex<Instance>>,
    url: String,
}

impl PrivateServer {
    /// A server with the usual settings, which keeps its data in memory only.
    pub async fn start() -> Result<Self, Error> {
        elsewhere(|| {
            let options = Options::new(Binaries::find()?);
            let instance = Instance::start(Directory::new(NAME)?, options)?;
            Ok(Self {
                url: instance.url(),
                instance: Arc::new(Mutex::new(instance)),
            })
        })
        .await
    }

    /// As [`PrivateServer::start`]; where Redis cannot be had, says that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If the suite [must run](crate::must_run) and Redis cannot be had.
    pub async fn for_suite(suite: &str) -> Result<Option<Self>, Error> {
        or_skipped(suite, NAME, Self::start().await)
    }

    /// Ends the server at once, by `kill -9`.
    pub async fn kill(&self) -> Result<(), Error> {
        self.with(Instance::kill).await
    }

    /// Starts the server that was killed on the same port; returns when it answers. It is empty, unless `appendonly` is on.
    pub async fn start_again(&self) -> Result<(), Error> {
        self.with(Instance::start_again).await
    }

    /// Kills the server and starts it again: what only its memory had is gone, data and scripts.
    pub async fn restart(&self) -> Result<(), Error> {
        self.restart_with(&[]).await
    }

    /// As [`restart`](Self::restart), with these settings on top of all earlier ones, as
    /// `("maxmemory-policy", "allkeys-lru")`.
    pub async fn restart_with(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let settings = settings.iter().map(owned).collect();
        self.with(move |instance| {
            instance.kill()?;
            instance.set(settings);
            instance.start_again()
        })
        .await
    }

    /// Stops the process by SIGSTOP: connections stay open, and nothing answers until [`resume`](Self::resume).
    pub async fn pause(&self) -> Result<(), Error> {
        self.with(Instance::pause).await
    }

    /// Lets the paused process go on, by SIGCONT.
    pub async fn resume(&self) -> Result<(), Error> {
        self.with(|instance| {
            instance.resume();
            Ok(())
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

    /// Its URL, with the password; the same after a restart.
    pub fn url(&self) -> &str {
        &self.url
    }
}
