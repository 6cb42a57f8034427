//! Databases on the server of the run, private servers on whatever is installed.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use mainstay_testkit::postgres::{Pooler, PrivateServer, Server, answers};
use sqlx::{Connection, PgConnection};

async fn databases(server: &Server, name: &str) -> i64 {
    let mut connection = server.connect().await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_database_is_fresh_and_goes_with_whoever_is_connected() {
    let Some(server) = Server::for_suite("testkit") else {
        return;
    };
    let (one, other) = (
        server.database().await.unwrap(),
        server.database().await.unwrap(),
    );
    assert_ne!(one.url(), other.url());
    let mut connection = PgConnection::connect(&one.url()).await.unwrap();
    sqlx::query("CREATE TABLE t (id bigint)")
        .execute(&mut connection)
        .await
        .unwrap();
    let name = one.name().to_owned();
    one.close().await.unwrap();
    assert_eq!(databases(&server, &name).await, 0);
    let name = other.name().to_owned();
    drop(other);
    // The server finishes what it was sent, though nobody waits for it any more.
    let gone = async {
        while databases(&server, &name).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(60), gone)
            .await
            .is_ok()
    );
}

/// A server of the test's own, or the reason why the test does not run.
async fn private() -> Option<PrivateServer> {
    PrivateServer::for_suite("testkit, private servers")
        .await
        .unwrap()
}

async fn text(url: &str, query: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(query)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_killed_server_comes_back_with_what_was_committed() {
    let Some(server) = private().await else {
        return;
    };
    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (word text); INSERT INTO t VALUES ('kept')")
        .execute(&mut connection)
        .await
        .unwrap();
    let started = "SELECT pg_postmaster_start_time()::text";
    let first = text(server.url(), started).await;
    server.kill_immediate().await.unwrap();
    assert!(
        sqlx::query("SELECT 1")
            .execute(&mut connection)
            .await
            .is_err()
    );
    assert!(PgConnection::connect(server.url()).await.is_err());
    server.start_again().await.unwrap();
    assert_ne!(text(server.url(), started).await, first);
    assert_eq!(text(server.url(), "SELECT word FROM t").await, "kept");
    server.close().await.unwrap();
}

#[tokio::test]
async fn settings_are_the_usual_ones_or_those_asked_for() {
    let Some(server) = private().await else {
        return;
    };
    for (query, value) in [
        ("SHOW wal_level", "logical"),
        ("SHOW max_connections", "500"),
        ("SHOW listen_addresses", "127.0.0.1"),
        ("SHOW fsync", "on"),
        ("SHOW synchronous_commit", "on"),
        ("SHOW password_encryption", "scram-sha-256"),
    ] {
        assert_eq!(text(server.url(), query).await, value, "{query}");
    }
    server
        .restart_with(&[("max_connections", "7")])
        .await
        .unwrap();
    assert_eq!(text(server.url(), "SHOW max_connections").await, "7");
    let directory = PathBuf::from(text(server.url(), "SHOW data_directory").await);
    assert!(directory.exists());
    drop(server);
    assert!(!directory.parent().unwrap().exists());
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let Some(server) = private().await else {
        return;
    };
    let options = server.server().unwrap().options().clone().password("wrong");
    assert!(PgConnection::connect_with(&options).await.is_err());
    assert!(answers(options.get_port()));
}

#[tokio::test]
async fn a_start_that_fails_names_the_step_and_shows_what_the_server_said() {
    let Some(server) = private().await else {
        return;
    };
    let error = server
        .restart_with(&[("max_connections", "many")])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("starting postgres failed: it ended with exit status: 1"),
        "{error}"
    );
    assert!(
        error.contains("invalid value for parameter \"max_connections\": \"many\""),
        "{error}"
    );
}

/// Else what works behind the pooler may work because it never left its session.
#[tokio::test]
async fn behind_the_pooler_the_next_transaction_runs_in_another_session() {
    let suite = "testkit, pooler";
    let Some(server) = Server::for_suite(suite) else {
        return;
    };
    let database = server.database().await.unwrap();
    let pooler = Pooler::for_suite(suite, &database.url(), 3, "").await;
    let Some(pooler) = pooler.unwrap() else {
        return;
    };
    let mut client = PgConnection::connect(&pooler.url(database.name()))
        .await
        .unwrap();
    let mut sessions = Vec::new();
    for _ in 0..9 {
        let mut tx = client.begin().await.unwrap();
        let session: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .persistent(false)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        // A rollback by drop would go together with the next BEGIN, to the same session.
        tx.commit().await.unwrap();
        sessions.push(session);
    }
    let all: BTreeSet<_> = sessions.iter().collect();
    assert_eq!(all.len(), 3, "{sessions:?}");
    assert!(
        sessions.windows(2).all(|pair| pair[0] != pair[1]),
        "{sessions:?}"
    );
    client.close().await.unwrap();
    drop(pooler);
    database.close().await.unwrap();
}
