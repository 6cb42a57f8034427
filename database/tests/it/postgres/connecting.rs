//! What may be wrong with the way to a server: one clear error each, which says what to do, and
//! never the password.

use std::time::Duration;

use mainstay_testkit::postgres::OldServer;
use sqlx::{AssertSqlSafe, Executor as _, postgres::PgConnectOptions};

use super::*;

const PASSWORD: &str = "very-secret";

async fn refused(url: &str) -> Error {
    let error = Database::connect(url).await.unwrap_err();
    assert!(!report(&error).contains(PASSWORD), "{}", report(&error));
    error
}

/// Which one it is, whether it heals, and what its report says.
#[track_caller]
fn assert_says(error: &Error, is_retryable: bool, words: &[&str]) {
    let report = report(error);
    assert_eq!(error.is_retryable(), is_retryable, "{report}");
    for word in words {
        assert!(report.contains(word), "no {word:?} in: {report}");
    }
    assert_eq!(report.lines().count(), 1, "{report}");
}

#[tokio::test]
async fn wrong_credentials_and_a_missing_database_are_named() {
    let Some((database, server)) = database().await else {
        return;
    };
    drop(database);
    let url = server.url();
    let (login, address) = url.split_once('@').unwrap();
    let (user, _) = login.rsplit_once(':').unwrap();
    let (host, name) = (address.split_once('/').unwrap().0, server.name());
    let check = "check the user, the password";
    for (url, words) in [
        (
            format!("postgres://nobody:{PASSWORD}@{host}/{name}"),
            ["nobody", check],
        ),
        (format!("{user}:{PASSWORD}@{address}"), [name, check]),
        (
            url.replace(name, "no_such_database"),
            ["no_such_database", "create it, or correct the URL"],
        ),
    ] {
        let error = refused(&url).await;
        assert!(matches!(error, Error::CannotOpen { .. }), "{error:?}");
        assert_says(&error, false, &words);
    }
}

/// Parts of names with a meaning in URLs, SQL, or the driver.
const PARTS: [&str; 17] = [
    "/", "#", "?", ":", "@", "%", "%2f", "%zz", " ", "&user=x", "+", "\\", "'", "\"", "[::1]",
    "größe", "$1;--",
];

/// A URL made of such options would not log in, or would lose the settings.
#[tokio::test]
async fn options_are_used_unchanged_for_every_user_and_password() {
    let Some((database, server)) = database().await else {
        return;
    };
    let options: PgConnectOptions = server.url().parse().unwrap();
    for part in PARTS {
        let role = format!("{}{part}", server.name());
        let password = format!("{PASSWORD}{part}");
        let (name, secret) = (role.replace('"', "\"\""), password.replace('\'', "''"));
        let create = format!("CREATE ROLE \"{name}\" LOGIN PASSWORD '{secret}'");
        database
            .pool()
            .execute(AssertSqlSafe(create))
            .await
            .unwrap();
        let options = options.clone().username(&role).password(&password);
        let options = options.application_name("my shop/#?");
        let options = options.options([("statement_timeout", "54321")]);
        let builder = Database::builder_with(options).max_connections(1);
        let as_role = builder.open().await.unwrap();
        let settings = "SELECT current_user::text, current_setting('application_name'),
                               current_setting('statement_timeout')";
        let query = sqlx::query_as(settings);
        let found: (String, String, String) = query.fetch_one(as_role.pool()).await.unwrap();
        assert_eq!(found, (role, "my shop/#?".into(), "54321ms".into()));
        as_role.close().await;
        let drop = AssertSqlSafe(format!("DROP ROLE \"{name}\""));
        database.pool().execute(drop).await.unwrap();
    }
}

#[tokio::test]
async fn a_text_that_is_no_url_is_refused() {
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
async fn a_server_that_is_too_old_is_refused_and_one_that_is_just_new_enough_is_not() {
    for (version, says) in [
        (
            "130023",
            Some("PostgreSQL 13, and 14 or newer is needed: upgrade it"),
        ),
        ("90624", Some("PostgreSQL 9, and 14 or newer")),
        ("140000", None),
    ] {
        let server = OldServer::start(version).unwrap();
        let address = format!("127.0.0.1:{}", server.port());
        let opened = Database::connect(&format!("postgres://u:{PASSWORD}@{address}/shop")).await;
        let Some(says) = says else {
            opened.unwrap();
            continue;
        };
        let error = opened.unwrap_err();
        assert!(matches!(error, Error::CannotOpen { .. }), "{error:?}");
        assert_says(&error, false, &[says, &address, "shop"]);
        assert!(!report(&error).contains(PASSWORD));
    }
}

#[tokio::test]
async fn a_missing_privilege_is_named_with_who_can_grant_it() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let mut tx = database.begin().await.unwrap();
    let become_nobody = "SET LOCAL ROLE pg_monitor";
    sqlx::query(become_nobody).execute(&mut *tx).await.unwrap();
    let error = insert(&mut tx, 1, 1).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    let denied = "permission denied for table number";
    assert_says(&error, false, &[denied, "have the owner grant it"]);
}

/// A login that the server gives no connection to, and what lets it in again.
async fn guest(database: &Database, server: &TestDatabase) -> String {
    let guest = format!("guest_{}", server.name().rsplit('_').next().unwrap());
    let sql = format!("CREATE ROLE {guest} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 1");
    run(database, &sql).await;
    guest
}

async fn run(database: &Database, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(database.pool()).await.unwrap();
}

const NO_MORE: [&str; 3] = [
    "too many connections for role",
    "raise its max_connections",
    "goes on by itself",
];

#[tokio::test]
async fn too_many_connections_are_reported_and_heal() {
    let Some((owner, server)) = database().await else {
        return;
    };
    let guest = guest(&owner, &server).await;
    let url = server.url();
    let (_, address) = url.split_once('@').unwrap();
    let url = format!("postgres://{guest}:{PASSWORD}@{address}");
    // A login must fit in, on a busy machine as well.
    let database = Database::builder(&url)
        .acquire_timeout(Duration::from_secs(3))
        .open()
        .await
        .unwrap();
    let first = database.begin().await.unwrap();
    // At the start …
    let error = refused(&url).await;
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert_says(&error, true, &NO_MORE);
    // … and later, though it is the pool that waits in vain.
    let error = database.begin().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert_says(&error, true, &NO_MORE);
    assert!(!report(&error).contains(PASSWORD));
    run(&owner, &format!("ALTER ROLE {guest} CONNECTION LIMIT 2")).await;
    drop(database.begin().await.unwrap());
    drop(first);
    database.close().await;
    run(&owner, &format!("DROP ROLE {guest}")).await;
}

/// Where all connections of the pool are in use, the server is not to blame.
#[tokio::test]
async fn an_exhausted_pool_is_not_reported_as_the_servers_fault() {
    // A login must fit in, on a busy machine as well.
    let Some((database, _server)) = database_with(|builder| {
        builder
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(5))
    })
    .await
    else {
        return;
    };
    let first = database.begin().await.unwrap();
    let error = database.begin().await.unwrap_err();
    assert_says(&error, true, &["pool timed out"]);
    drop(first);
    drop(database.begin().await.unwrap());
}
