//! Databases on the server of the run, private servers on whatever is installed.

use mainstay_testkit::postgres::Server;
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
    assert_eq!(databases(&server, &name).await, 0);
}
