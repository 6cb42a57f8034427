//! The server that the environment names.

use std::{env, process};

use mainstay_clock::{IdGenerator, SystemIds};

use super::{NAME, URL};
use crate::skipped;

/// A server that somebody else runs, for suites side by side: each test takes a [prefix](Server::prefix) of its own for
/// topics and groups, and changes nothing of the server. What needs more takes a [`PrivateServer`](super::PrivateServer).
#[derive(Clone, Debug)]
pub struct Server {
    url: String,
}

impl Server {
    /// The server that `MAINSTAY_KAFKA_URL` names; where it is not set, says that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If the suite [must run](crate::must_run) and there is no server.
    pub fn for_suite(suite: &str) -> Option<Self> {
        let url = env::var(URL).ok().filter(|url| !url.is_empty());
        if url.is_none() {
            skipped(suite, NAME, &format!("{URL} is not set"));
        }
        url.map(|url| Self { url })
    }

    /// Its brokers, as `host:port,host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A beginning of names that nobody else has: letters, digits and underscores.
    pub fn prefix(&self) -> String {
        format!("test_{}_{:016x}", process::id(), SystemIds::new().random())
    }
}
