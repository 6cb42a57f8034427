//! Where the tables live, who may do what with them, and who makes them.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use mainstay_database::{Namespace, Transactions as _, postgres::Database};
use mainstay_outbox::{
    EnqueueKey, Enqueued, Entry, Error, Outbox as _, RelayStore as _,
    postgres::{MIGRATIONS, Options, PostgresOutbox, roles},
};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::AssertSqlSafe;

use super::{LEASE, Running, fetched, message, until};

async fn server() -> Option<TestDatabase> {
    Some(Server::for_suite("outbox")?.database().await.unwrap())
}

fn within(namespace: &Namespace) -> Options {
    let mut options = Options::default();
    options.namespace = namespace.clone();
    options
}

/// One message of every kind.
async fn enqueue(database: &Database, outbox: &PostgresOutbox) {
    let (once, messages) = (
        EnqueueKey::new("once").unwrap(),
        [0, 1, 2].map(|n| message("a", n)),
    );
    let entries = [
        Entry::new(&messages[0]).once(&once),
        Entry::new(&messages[1]).deliver_after(Duration::from_millis(1)),
    ];
    let mut tx = database.begin().await.unwrap();
    let answers = outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, [Enqueued::Added; 2]);
    let again = [entries[0]];
    let answers = outbox.enqueue_batch(&mut tx, &again).await.unwrap();
    assert_eq!(answers, [Enqueued::AlreadyThere]);
    outbox.enqueue(&mut tx, &messages[2]).await.unwrap();
    database.commit(tx).await.unwrap();
}

async fn rows(database: &Database, namespace: &Namespace) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM {ns}outbox) + (SELECT count(*) FROM {ns}outbox_held)";
    sqlx::query_scalar(AssertSqlSafe(namespace.render(sql).to_string()))
        .fetch_one(database.pool())
        .await
        .unwrap()
}

/// Publishes all of it, and has one message refused in between.
async fn drain(outbox: PostgresOutbox, owner: &Database, namespace: &Namespace) {
    let running = Running::start_as(&Arc::new(outbox), |relay| {
        relay.lease(Duration::from_millis(300))
    });
    running.tape.refuse("a-2");
    until("it is refused twice", async || running.tape.refusals() > 1).await;
    running.tape.accept();
    until("all is published", async || {
        rows(owner, namespace).await == 0
    })
    .await;
    assert_eq!(running.tape.ids().len(), 3);
    running.stop().await;
}

#[tokio::test]
async fn every_table_is_where_the_namespace_says() {
    let Some(server) = server().await else { return };
    let database = Database::connect(&server.url()).await.unwrap();
    let namespace = Namespace::prefixed("a_").unwrap();
    // A word of SQL.
    let there = namespace.clone().in_schema("order").unwrap();
    let outbox = PostgresOutbox::open(database.clone(), within(&there)).await;
    let outbox = outbox.unwrap();
    enqueue(&database, &outbox).await;
    let elsewhere = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE relname LIKE '%outbox%' AND (nspname <> 'order' OR relname NOT LIKE 'a\\_outbox%')";
    let elsewhere: i64 = sqlx::query_scalar(elsewhere)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(elsewhere, 0);
    // Another one in the same database is another one.
    let plain = PostgresOutbox::open(database.clone(), Options::default());
    let plain = plain.await.unwrap();
    let holds = plain.lease("relay", LEASE).await.unwrap();
    assert!(fetched(&plain, &holds).await.rows.is_empty());
    drain(outbox, &database, &there).await;
}

#[tokio::test]
async fn ten_processes_may_start_at_once() {
    let Some(server) = server().await else { return };
    let starting: Vec<_> = (0..10)
        .map(|number| {
            let url = server.url();
            tokio::spawn(async move {
                let database = Database::connect(&url).await?;
                let mut options = Options::default();
                options.shards = if number == 9 { 2 } else { 8 };
                PostgresOutbox::open(database, options).await
            })
        })
        .collect();
    let mut refused = 0;
    let mut shards = None;
    for started in starting {
        match started.await.unwrap() {
            Ok(outbox) => {
                let holds = outbox.lease("relay", LEASE).await.unwrap();
                assert_eq!(*shards.get_or_insert(holds.len()), holds.len());
            }
            Err(Error::OtherLayout { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(refused == 1 && shards == Some(8) || refused == 9 && shards == Some(2));
}

#[tokio::test]
async fn a_writer_and_a_relay_need_no_more_than_their_roles() {
    let Some(server) = server().await else { return };
    let owner = Database::connect(&server.url()).await.unwrap();
    // Roles belong to the whole server: names of this database's own.
    let prefix = format!("r{}_", server.name().rsplit('_').next().unwrap());
    let namespace = Namespace::prefixed(&prefix).unwrap();
    let namespace = namespace.in_schema("order").unwrap();
    let opened = PostgresOutbox::open(owner.clone(), within(&namespace)).await;
    drop(opened.unwrap());
    // Again and again, several at once: as processes do that bring everything up to date when they start.
    for _ in 0..5 {
        let granting = (0..8).map(|_| sqlx::raw_sql(roles(&namespace)).execute(owner.pool()));
        for outcome in join_all(granting).await {
            outcome.unwrap();
        }
    }
    let login = async |role: &str| {
        let create = format!(
            "CREATE ROLE {prefix}{role} LOGIN PASSWORD 'secret' IN ROLE {prefix}outbox_{role}"
        );
        let create = sqlx::raw_sql(AssertSqlSafe(create));
        create.execute(owner.pool()).await.unwrap();
        let options = server.options();
        let options = options
            .username(&format!("{prefix}{role}"))
            .password("secret");
        let pool = sqlx::PgPool::connect_with(options).await.unwrap();
        let database = Database::over(pool, &mainstay_database::postgres::Options::default());
        let outbox = PostgresOutbox::open(database.clone(), within(&namespace)).await;
        (database, outbox.unwrap())
    };
    let (writer, its_outbox) = login("writer").await;
    let (relay, relays_outbox) = login("relay").await;
    enqueue(&writer, &its_outbox).await;
    let refused = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::Database(_))), "{result:?}");
        assert!(!result.unwrap_err().is_retryable(), "nobody heals that");
    };
    // Neither does the other's work, and no one changes the schema.
    refused(its_outbox.lease("writer", LEASE).await.map(drop));
    let mut tx = relay.begin().await.unwrap();
    refused(relays_outbox.enqueue(&mut tx, &message("b", 0)).await);
    drop(tx);
    let newer = Namespace::prefixed("other_").unwrap();
    let newer = newer.in_schema("order").unwrap();
    for database in [&writer, &relay] {
        refused(
            database
                .migrate(&MIGRATIONS, &newer)
                .await
                .map_err(Error::from),
        );
    }
    drain(relays_outbox, &owner, &namespace).await;
    writer.close().await;
    relay.close().await;
    let drop_roles = ["writer", "relay"].map(|role| {
        format!(
            "DROP OWNED BY {prefix}outbox_{role}; DROP ROLE {prefix}{role}, {prefix}outbox_{role};"
        )
    });
    let drop_roles = sqlx::raw_sql(AssertSqlSafe(drop_roles.concat()));
    drop_roles.execute(owner.pool()).await.unwrap();
}
