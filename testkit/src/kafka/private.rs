//! A server for one test, which may do to it what it likes.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Binaries, Instance, NAME, Options};
use crate::{Directory, Error, blocking::elsewhere, suites::or_skipped};

/// A server of a test's own, on a port that stays the same while the server is down. It and its data go with
/// the last clone of this value, or with the process.
///
/// Starting and stopping happen on another thread: what the test runs meanwhile sees the server come and go.
#[derive(Clone, Debug)]
pub struct PrivateServer {
    instance: Arc<Mutex<Instance>>,
    url: String,
}

impl PrivateServer {
    /// A server with the usual settings and no topic.
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

    /// As [`PrivateServer::start`]; where Kafka cannot be had, says that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If the suite [must run](crate::must_run) and Kafka cannot be had.
    pub async fn for_suite(suite: &str) -> Result<Option<Self>, Error> {
        or_skipped(suite, NAME, Self::start().await)
    }

    /// Ends the server at once, by `kill -9`.
    pub async fn kill(&self) -> Result<(), Error> {
        self.with(Instance::kill).await
    }

    /// Stops the server as an administrator does. The data stays.
    pub async fn stop(&self) -> Result<(), Error> {
        self.with(Instance::stop).await
    }

    /// Starts the server that was stopped or killed, on the same port and data; returns when it answers.
    pub async fn start_again(&self) -> Result<(), Error> {
        self.with(Instance::start_again).await
    }

    /// Stops the server and starts it again, with these settings on top of all earlier ones, as
    /// `("message.max.bytes", "1000")`.
    pub async fn restart_with(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let settings = owned(settings);
        self.with(move |instance| {
            instance.stop()?;
            instance.set(settings);
            instance.start_again()
        })
        .await
    }

    /// As [`restart_with`](Self::restart_with), with one more listener, of the name `FURTHER` and a protocol as
    /// `SASL_PLAINTEXT`. Returns what its clients are told.
    pub async fn listen_also(
        &self,
        protocol: &str,
        settings: &[(&str, &str)],
    ) -> Result<String, Error> {
        let (protocol, settings) = (protocol.to_owned(), owned(settings));
        self.with(move |instance| {
            instance.stop()?;
            instance.set(settings);
            let port = instance.listen_also(&protocol)?;
            instance.start_again()?;
            Ok(format!("127.0.0.1:{port}"))
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

    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Instance) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let instance = Arc::clone(&self.instance);
        elsewhere(move || act(&mut instance.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// What clients are told, as `127.0.0.1:9092`; the same after a restart.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    settings.iter().map(owned).collect()
}
