//! Behaviour of PostgreSQL that the models of dead letters and of the append-only outbox rely on.

mod dead_letters;
mod log;

use std::time::Duration;

use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::task::JoinHandle;

/// A server with the tables of a case.
struct Scene {
    server: TestDatabase,
    observer: Session,
}

/// The first columns of a statement's rows, or an SQLSTATE.
type Answer = Result<Vec<String>, String>;

struct Session {
    connection: PgConnection,
    pid: i32,
}

impl Scene {
    async fn set(tables: &'static str) -> Option<Self> {
        Some(Self::on(&Server::for_suite("database")?, tables).await)
    }

    async fn on(server: &Server, tables: &'static str) -> Self {
        let server = server.database().await.unwrap();
        let mut observer = Session::open(&server).await;
        observer.run(tables).await;
        Self { server, observer }
    }

    async fn session(&self) -> Session {
        Session::open(&self.server).await
    }

    async fn run(&mut self, sql: &'static str) -> Vec<String> {
        self.observer.run(sql).await
    }

    /// Starts a statement that must wait for another session; returns once it waits.
    async fn waits(
        &mut self,
        session: Session,
        sql: &'static str,
    ) -> JoinHandle<(Session, Answer)> {
        let pid = session.pid;
        let running = tokio::spawn(session.finish(sql));
        let waits = async {
            let ask = "SELECT cardinality(pg_blocking_pids($1)) > 0";
            while !sqlx::query_scalar::<_, bool>(ask)
                .bind(pid)
                .fetch_one(&mut self.observer.connection)
                .await
                .unwrap()
            {
                assert!(!running.is_finished(), "{sql} does not wait");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waits)
            .await
            .unwrap();
        running
    }
}

impl Session {
    async fn open(server: &TestDatabase) -> Self {
        let mut connection = PgConnection::connect(&server.url()).await.unwrap();
        let pid = super::backend(&mut connection).await;
        Self { connection, pid }
    }

    async fn try_run(&mut self, sql: &'static str) -> Answer {
        let rows = sqlx::raw_sql(sql).fetch_all(&mut self.connection).await;
        let text = |row: sqlx::postgres::PgRow| row.try_get_unchecked::<String, _>(0);
        match rows {
            Ok(rows) => Ok(rows.into_iter().filter_map(|row| text(row).ok()).collect()),
            Err(sqlx::Error::Database(error)) => Err(error.code().unwrap_or_default().into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn run(&mut self, sql: &'static str) -> Vec<String> {
        self.try_run(sql).await.unwrap()
    }

    async fn finish(mut self, sql: &'static str) -> (Self, Answer) {
        let answer = self.try_run(sql).await;
        (self, answer)
    }
}
