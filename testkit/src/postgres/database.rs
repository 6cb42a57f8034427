//! A database of a test's own.

use std::{
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

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
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "test_{}_{}_{:016x}",
            process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed),
            SystemIds::new().random()
        );
        let mut database = Self {
            server,
            name,
            exists: false,
        };
        // Nobody connects to template0, so it can be copied at any time.
        let statement = format!("CREATE DATABASE {} TEMPLATE template0", database.name);
        database.exists = true;
        let outcome = database.execute(statement).await;
        database.exists = outcome.is_ok();
        outcome.map(|()| database)
    }

    /// Its name: letters, digits and underscores.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.options().to_url_lossy().into()
    }

    /// How to connect to it.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        self.server.options.clone().database(&self.name)
    }

    /// Drops it, with whoever is connected.
    pub async fn close(mut self) -> Result<(), sqlx::Error> {
        let outcome = self.execute(self.statement()).await;
        self.exists = outcome.is_err();
        outcome
    }

    fn statement(&self) -> String {
        format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)
    }

    async fn execute(&self, statement: String) -> Result<(), sqlx::Error> {
        let mut connection = self.server.connect().await?;
        // The name is ours: letters, digits and underscores.
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await?;
        connection.close().await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !self.exists {
            return;
        }
        // The test's own runtime may be on its way out, and its thread may be the only one that drives it.
        thread::scope(|scope| {
            let finished = scope
                .spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build();
                    if let Ok(runtime) = runtime {
                        drop(runtime.block_on(self.execute(self.statement())));
                    }
                })
                .join();
            drop(finished);
        });
    }
}
