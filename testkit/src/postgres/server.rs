//! The server that the environment names.

use std::{env, str::FromStr};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{NAME, TestDatabase, URL};
use crate::left_out;

/// A server that somebody else runs: `cargo xtask test` does, or `cargo xtask services up`, or you.
#[derive(Clone, Debug)]
pub struct Server {
    pub(super) options: PgConnectOptions,
}

impl Server {
    /// The server at this URL; its user must be allowed to create databases.
    pub fn at(url: &str) -> Result<Self, sqlx::Error> {
        Ok(Self {
            options: PgConnectOptions::from_str(url)?,
        })
    }

    /// The server that `MAINSTAY_POSTGRES_URL` names; where it is not set, says that `suite` does not run.
    ///
    /// # Panics
    ///
    /// If the suite [must run](crate::must_run) and there is no server, or the URL cannot be read.
    #[expect(clippy::panic, reason = "a URL with a mistake is not a missing server")]
    pub fn for_suite(suite: &str) -> Option<Self> {
        let Some(url) = env::var(URL).ok().filter(|url| !url.is_empty()) else {
            left_out(suite, NAME, &format!("{URL} is not set"));
            return None;
        };
        match Self::at(&url) {
            Ok(server) => Some(server),
            Err(error) => panic!("{URL} cannot be read: {error}"),
        }
    }

    /// A fresh, empty database of this server.
    pub async fn database(&self) -> Result<TestDatabase, sqlx::Error> {
        TestDatabase::create(self.clone()).await
    }

    /// How to connect to the server's own database.
    pub const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// A connection to the server's own database, for statements about the server.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }
}
