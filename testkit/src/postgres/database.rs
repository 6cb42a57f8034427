//! A database of a test's own.

use std::{process, sync::mpsc, thread, time::Duration};

use mainstay_clock::{IdGenerator, SystemIds};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, postgres::PgConnectOptions};

use super::Server;

/// A database that nobody else has, dropped with whoever is still connected to it.
///
/// Call [`close`](Self::close): it tells what went wrong. Dropping the value, as a failed test does, drops the
/// database as well and says nothing.
#[derive(Debug)]
pub struct TestDatabase {
    server: Server,
    name: String,
    exists: bool,
}

impl TestDatabase {
    pub(super) async fn create(server: Server) -> Result<Self, sqlx::Error> {
        let name = format!("test_{}_{:016x}", process::id(), SystemIds::new().random());
        // Nobody connects to template0, so it can be copied at any time.
        let statement = format!("CREATE DATABASE {name} TEMPLATE template0");
        // Dropped in the middle, it may exist.
        let exists = true;
        let mut database = Self {
            server,
            name,
            exists,
        };
        let outcome = execute(&database.server, statement).await;
        database.exists = outcome.is_ok();
        outcome.map(|()| database)
    }

    /// Its name: letters, digits and underscores.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.options().to_url_lossy().into()
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        self.server.options.clone().database(&self.name)
    }

    /// Drops it, with whoever is connected.
    pub async fn close(mut self) -> Result<(), sqlx::Error> {
        let outcome = execute(&self.server, self.statement()).await;
        self.exists = outcome.is_err();
        outcome
    }

    fn statement(&self) -> String {
        format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)
    }
}

async fn execute(server: &Server, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = server.connect().await?;
    // The name is ours: letters, digits and underscores.
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A drop waits for every session of the server, for one that is still logging in as well: if that is ours, its
        // runtime stands still for as long as we wait here, and the two wait for each other until the server's
        // `authentication_timeout`. The server finishes what it was sent.
        const ENOUGH_TO_SEND_IT: Duration = Duration::from_secs(2);
        if !self.exists {
            return;
        }
        let (server, statement) = (self.server.clone(), self.statement());
        let (done, finished) = mpsc::channel();
        // The test's own runtime may be on its way out, and its thread may be the only one that drives it.
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            if let Ok(runtime) = runtime.enable_all().build() {
                drop(runtime.block_on(execute(&server, statement)));
            }
            // Nobody waits any more, if it took so long.
            let _: Result<(), _> = done.send(());
        });
        let _: Result<(), _> = finished.recv_timeout(ENOUGH_TO_SEND_IT);
    }
}
