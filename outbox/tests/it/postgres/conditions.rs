//! What a relay makes of a server that refuses: it ends where nobody but a person can mend it, and waits where it heals.

use std::{sync::Arc, time::Duration};

use mainstay_database::postgres::{self, Database};
use mainstay_outbox::{
    Activity, Outbox as _,
    postgres::{Options, PostgresOutbox},
};
use sqlx::AssertSqlSafe;

use super::{PATIENCE, Running, Shop, message, report, shop, until};

/// A login that may do with the tables whatever it likes; roles belong to the whole server, so its name is this test's own.
async fn login(shop: &Shop) -> String {
    let name = format!("relay_{}", shop.server.name().rsplit('_').next().unwrap());
    run(
        shop,
        &format!(
            "CREATE ROLE {name} LOGIN PASSWORD 'secret';
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}"
        ),
    )
    .await;
    name
}

async fn run(shop: &Shop, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(shop.pool()).await.unwrap();
}

async fn open_as(shop: &Shop, login: &str) -> (Database, Arc<PostgresOutbox>) {
    let url = shop.server.url();
    let (_, address) = url.split_once('@').unwrap();
    let mut options = postgres::Options::default();
    // A login must fit in, on a busy machine as well.
    options.acquire_timeout = Duration::from_secs(3);
    let url = format!("postgres://{login}:secret@{address}");
    let database = Database::connect_with(&url, options).await.unwrap();
    let outbox = PostgresOutbox::open(database.clone(), Options::default()).await;
    (database, Arc::new(outbox.unwrap()))
}

async fn forget(shop: &Shop, login: &str, database: Database) {
    database.close().await;
    run(shop, &format!("DROP OWNED BY {login}; DROP ROLE {login}")).await;
}

#[tokio::test]
async fn a_relay_without_a_privilege_ends_and_says_which() {
    let Some(shop) = shop().await else { return };
    let login = login(&shop).await;
    run(&shop, &format!("REVOKE DELETE ON outbox FROM {login}")).await;
    let (database, outbox) = open_as(&shop, &login).await;
    shop.commit(&[message("a", 0)]).await;
    let running = Running::start(&outbox);
    let ended = tokio::time::timeout(PATIENCE, running.task).await.unwrap();
    let error = ended.unwrap().unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    let said = report(&error);
    for word in [
        "permission denied for table outbox",
        "have the owner grant it",
    ] {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(running.relay.status().activity, Activity::Stopped);
    // Neither is lost, and whoever may goes on with it.
    let running = Running::start(&shop.outbox);
    shop.until_drained().await;
    assert_eq!(running.tape.ids(), ["a-0"]);
    running.stop().await;
    forget(&shop, &login, database).await;
}

#[tokio::test]
async fn a_relay_that_gets_no_connection_says_why_and_goes_on_when_it_gets_one() {
    let Some(shop) = shop().await else { return };
    let login = login(&shop).await;
    let (database, outbox) = open_as(&shop, &login).await;
    let running = Running::start(&outbox);
    until("it runs", async || running.relay.status().shards == 1).await;
    run(
        &shop,
        &format!(
            "ALTER ROLE {login} CONNECTION LIMIT 0;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'"
        ),
    )
    .await;
    shop.commit(&[message("a", 0)]).await;
    until("it says why", async || {
        let trouble = running.relay.status().trouble.unwrap_or_default();
        trouble.contains("too many connections for role")
            && trouble.contains("takes no more connections: raise its max_connections")
    })
    .await;
    assert!(!running.task.is_finished(), "it gave up");
    run(&shop, &format!("ALTER ROLE {login} CONNECTION LIMIT -1")).await;
    shop.until_drained().await;
    assert_eq!(running.tape.ids(), ["a-0"]);
    // It says so once it knows that the round was recorded.
    until("it is no more in trouble", async || {
        running.relay.status().trouble.is_none()
    })
    .await;
    running.stop().await;
    forget(&shop, &login, database).await;
}

/// A password that was changed while everybody was connected.
#[tokio::test]
async fn a_relay_whose_credentials_are_refused_ends() {
    let Some(shop) = shop().await else { return };
    let login = login(&shop).await;
    let (database, outbox) = open_as(&shop, &login).await;
    let running = Running::start(&outbox);
    until("it runs", async || running.relay.status().shards == 1).await;
    run(
        &shop,
        &format!(
            "ALTER ROLE {login} PASSWORD 'another';
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'"
        ),
    )
    .await;
    shop.outbox.ring();
    let ended = tokio::time::timeout(PATIENCE, running.task).await.unwrap();
    let error = ended.unwrap().unwrap_err();
    let said = report(&error);
    assert!(
        !error.is_retryable()
            && said.contains("check the user, the password")
            && !said.contains("secret"),
        "{said}"
    );
    forget(&shop, &login, database).await;
}
