//! What may be wrong with the way to a server: one clear error each, and never the password in it.

use super::*;

const PASSWORD: &str = "very-secret";

async fn refused(url: &str) -> Error {
    let error = Database::connect(url).await.unwrap_err();
    assert!(!report(&error).contains(PASSWORD), "{}", report(&error));
    error
}

#[tokio::test]
async fn wrong_credentials_and_a_missing_database_are_named() {
    let Some((database, server)) = database().await else {
        return;
    };
    drop(database);
    let url = server.url();
    let (_, address) = url.split_once('@').unwrap();
    let (host, name) = address.split_once('/').unwrap();
    for (url, word) in [
        (
            format!("postgres://nobody:{PASSWORD}@{host}/{name}"),
            "nobody",
        ),
        (url.replace(name, "no_such_database"), "no_such_database"),
    ] {
        let error = refused(&url).await;
        assert!(matches!(error, Error::CannotOpen { .. }), "{error:?}");
        assert!(
            !error.is_retryable() && report(&error).contains(word),
            "{}",
            report(&error)
        );
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    for url in [
        &*format!("postgres:/{PASSWORD}"),
        &format!("postgres://user:{PASSWORD}@host:port/x"),
        "",
    ] {
        let error = refused(url).await;
        assert!(matches!(error, Error::CannotOpen { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_may_come_back() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let error = refused(&format!("postgres://user:{PASSWORD}@127.0.0.1:{port}/x")).await;
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn too_many_connections_heal() {
    let Some((database, server)) = database().await else {
        return;
    };
    let name = server.name();
    let limit = sqlx::AssertSqlSafe(format!("ALTER DATABASE {name} CONNECTION LIMIT 0"));
    sqlx::query(limit).execute(database.pool()).await.unwrap();
    sqlx::query("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        .execute(database.pool())
        .await
        .ok();
    let url = server.url();
    let (_, address) = url.split_once('@').unwrap();
    let error = refused(&format!("postgres://guest:guest@{address}")).await;
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}
