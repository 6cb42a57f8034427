//! A server whose disk is full, at login and at a statement.

use mainstay_testkit::{SmallDisk, postgres::PrivateServer};
use sqlx::{AssertSqlSafe, Executor as _};

use super::*;

const SUITE: &str = "database on a full disk";

fn assert_is_full(error: &Error) {
    let said = report(error);
    assert!(matches!(error, Error::Unavailable(_)), "{said}");
    assert!(said.contains("disk is full: make room"), "{said}");
}

#[tokio::test]
async fn a_full_disk_is_reported_at_login_and_at_a_statement_and_heals() {
    let Some(disk) = SmallDisk::for_suite(SUITE, 32).unwrap() else {
        return;
    };
    let Some(private) = PrivateServer::for_suite(SUITE).await.unwrap() else {
        return;
    };
    let server = private.server().unwrap();
    let mut owner = server.connect().await.unwrap();
    let place = format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        disk.path().display()
    );
    owner.execute(AssertSqlSafe(place)).await.unwrap();
    let create = "CREATE DATABASE shop TABLESPACE small";
    owner.execute(create).await.unwrap();
    disk.fill().unwrap();
    // The first login writes a file.
    let (address, _) = private.url().rsplit_once('/').unwrap();
    let url = format!("{address}/shop");
    let login = Database::connect(&url).await;
    assert_is_full(&login.unwrap_err());

    disk.make_room().unwrap();
    let database = Database::connect(&url).await.unwrap();
    let create = "CREATE TABLE number (key BIGINT PRIMARY KEY, value BIGINT NOT NULL)";
    let created = sqlx::query(create).execute(database.pool()).await;
    created.unwrap();
    disk.fill().unwrap();
    let mut tx = database.begin().await.unwrap();
    assert_is_full(&insert(&mut tx, 1, 1).await.unwrap_err());
    drop(tx);
    disk.make_room().unwrap();
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 1).await.unwrap();
    database.commit(tx).await.unwrap();
}
