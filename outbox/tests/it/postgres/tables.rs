//! Where the tables are, which privileges they need, and who creates them.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_database::{Namespace, postgres::Database};
use mainstay_outbox::{
    DeduplicationKey, Enqueued, Entry, Error, Outbox as _, PostgresOutbox,
    operator::{Operator as _, Signature, Which},
    postgres::{MIGRATIONS, roles},
    store::{Content, Limit, Outcome, Refusal, RelayStore as _, Row},
};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::AssertSqlSafe;

use super::{LEASE, Running, fetched, message, until};

async fn server() -> Option<TestDatabase> {
    Some(Server::for_suite("outbox")?.database().await.unwrap())
}

async fn open_in(database: &Database, namespace: &Namespace) -> Result<PostgresOutbox, Error> {
    let builder = PostgresOutbox::builder(database).namespace(namespace.clone());
    builder.open().await
}

/// One message of every kind.
async fn enqueue(database: &Database, outbox: &PostgresOutbox) {
    let (once, messages) = (
        DeduplicationKey::new("once").unwrap(),
        [0, 1, 2].map(|n| message("a", n)),
    );
    let entries = [
        Entry::new(&messages[0]).deduplicate(&once),
        Entry::new(&messages[1]).deliver_after(Duration::from_millis(1)),
    ];
    let mut tx = database.begin().await.unwrap();
    let answers = outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, [Enqueued::Added; 2]);
    let again = [entries[0]];
    let answers = outbox.enqueue_batch(&mut tx, &again).await.unwrap();
    assert_eq!(answers, [Enqueued::Duplicate]);
    outbox.enqueue(&mut tx, &messages[2]).await.unwrap();
    database.commit(tx).await.unwrap();
}

async fn rows(database: &Database, namespace: &Namespace) -> i64 {
    let sql =
        "SELECT (SELECT count(*) FROM {ns}outbox) + (SELECT count(*) FROM {ns}outbox_deferred)";
    sqlx::query_scalar(AssertSqlSafe(namespace.render(sql).to_string()))
        .fetch_one(database.pool())
        .await
        .unwrap()
}

/// Publishes all messages, one of which is refused at first.
async fn drain(outbox: PostgresOutbox, owner: &Database, namespace: &Namespace) {
    let running = Running::start_as(&outbox, |relay| relay.lease(Duration::from_millis(300)));
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
    // The name is a reserved word of SQL.
    let there = namespace.clone().in_schema("order").unwrap();
    let outbox = open_in(&database, &there).await;
    let outbox = outbox.unwrap();
    enqueue(&database, &outbox).await;
    let elsewhere = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE relname LIKE '%outbox%' AND (nspname <> 'order' OR relname NOT LIKE 'a\\_outbox%')";
    let elsewhere: i64 = sqlx::query_scalar(elsewhere)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(elsewhere, 0);
    // Another outbox in the same database has rows of its own.
    let plain = PostgresOutbox::builder(&database).open().await.unwrap();
    let leases = plain.lease("relay", LEASE).await.unwrap();
    assert!(fetched(&plain, &leases).await.rows.is_empty());
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
                let shards = if number == 9 { 2 } else { 8 };
                let builder = PostgresOutbox::builder(database).shards(shards);
                builder.open().await
            })
        })
        .collect();
    let mut refused = 0;
    let mut shards = None;
    for started in starting {
        match started.await.unwrap() {
            Ok(outbox) => {
                let leases = outbox.lease("relay", LEASE).await.unwrap();
                assert_eq!(*shards.get_or_insert(leases.len()), leases.len());
            }
            Err(Error::LayoutMismatch { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(refused == 1 && shards == Some(8) || refused == 9 && shards == Some(2));
}

#[tokio::test]
async fn a_writer_a_relay_and_an_operator_need_no_more_than_their_roles() {
    let Some(server) = server().await else { return };
    let owner = Database::connect(&server.url()).await.unwrap();
    // Roles belong to the whole server, so these have names of this database's own.
    let prefix = format!("r{}_", server.name().rsplit('_').next().unwrap());
    let namespace = Namespace::prefixed(&prefix).unwrap();
    let namespace = namespace.in_schema("order").unwrap();
    drop(open_in(&owner, &namespace).await.unwrap());
    // Again and again, several at once, as processes do that update everything when they start.
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
        let database = Database::from(pool);
        let builder = PostgresOutbox::builder(&database).namespace(namespace.clone());
        // It needs no privilege beyond those of the role.
        drop(builder.clone().open_without_migrating().await.unwrap());
        let outbox = builder.open().await.unwrap();
        (database, outbox)
    };
    let (writer, its_outbox) = login("writer").await;
    let (relay, relays_outbox) = login("relay").await;
    let (operator, operators_outbox) = login("operator").await;
    enqueue(&writer, &its_outbox).await;
    let refused = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::Database(_))), "{result:?}");
        assert!(
            !result.unwrap_err().is_retryable(),
            "a missing privilege does not heal"
        );
    };
    // Neither can do the other's work, and neither can change the schema.
    refused(its_outbox.lease("writer", LEASE).await.map(drop));
    let mut tx = relay.begin().await.unwrap();
    refused(relays_outbox.enqueue(&mut tx, &message("b", 0)).await);
    drop(tx);
    let mut tx = operator.begin().await.unwrap();
    refused(operators_outbox.enqueue(&mut tx, &message("b", 0)).await);
    drop(tx);
    refused(operators_outbox.lease("operator", LEASE).await.map(drop));
    let newer = Namespace::prefixed("other_").unwrap();
    let newer = newer.in_schema("order").unwrap();
    for database in [&writer, &relay, &operator] {
        refused(
            database
                .migrate(&MIGRATIONS, &newer)
                .await
                .map_err(Error::from),
        );
    }
    // An operator discards what the broker refuses.
    let mut tx = writer.begin().await.unwrap();
    its_outbox.enqueue(&mut tx, &message("b", 0)).await.unwrap();
    writer.commit(tx).await.unwrap();
    let leases = relays_outbox.lease("relay", LEASE).await.unwrap();
    let limit = Limit {
        messages: 100,
        bytes: usize::MAX,
    };
    let rows = relays_outbox.fetch(&leases, limit, &[]).await.unwrap().rows;
    let of_b = |row: &&Row| matches!(&row.content, Content::Message(m) if m.id.as_str() == "b-0");
    let refusal = Refusal {
        row_ref: rows.iter().find(of_b).unwrap().row_ref,
        attempts: 1,
        retry_after: LEASE,
        reason: "too large".to_owned(),
    };
    let outcome = Outcome {
        refused: vec![refusal],
        ..Outcome::default()
    };
    relays_outbox.record(&leases, &outcome).await.unwrap();
    relays_outbox.release("relay").await.unwrap();
    let by = Signature::new("ada", "too large");
    let heads = operators_outbox.deferred(&Which::Heads, None, 10).await;
    let position = heads.unwrap()[0].position;
    operators_outbox.retry_now(position, &by).await.unwrap();
    operators_outbox.discard(position, &by).await.unwrap();
    assert_eq!(operators_outbox.acts(None, 10).await.unwrap().len(), 2);
    drain(relays_outbox, &owner, &namespace).await;
    writer.close().await;
    relay.close().await;
    operator.close().await;
    let drop_roles = ["writer", "relay", "operator"].map(|role| {
        format!(
            "DROP OWNED BY {prefix}outbox_{role}; DROP ROLE {prefix}{role}, {prefix}outbox_{role};"
        )
    });
    let drop_roles = sqlx::raw_sql(AssertSqlSafe(drop_roles.concat()));
    drop_roles.execute(owner.pool()).await.unwrap();
}

#[tokio::test]
async fn open_without_migrating_accepts_the_schema_of_another_tool_and_refuses_a_missing_one() {
    let Some(server) = server().await else { return };
    let database = Database::connect(&server.url()).await.unwrap();
    let namespace = Namespace::prefixed("tool_").unwrap();
    let open = async || {
        let builder = PostgresOutbox::builder(&database).namespace(namespace.clone());
        builder.open_without_migrating().await
    };
    let run = async |sql: String| {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        sql.execute(database.pool()).await.unwrap();
    };
    let missing = open().await.unwrap_err().to_string();
    assert!(
        missing.contains("table tool_outbox is missing"),
        "{missing}"
    );
    for step in MIGRATIONS.steps {
        // A tool that keeps a record of its own, and none of ours.
        run(namespace.render(step.sql).to_string()).await;
    }
    let outbox = open().await.unwrap();
    enqueue(&database, &outbox).await;
    run(roles(&namespace).as_str().to_owned()).await;
    drain(outbox, &database, &namespace).await;
    run("ALTER TABLE tool_outbox_deferred DROP COLUMN reason".to_owned()).await;
    let missing = open().await.unwrap_err().to_string();
    let column = "column reason of table tool_outbox_deferred is missing";
    assert!(missing.contains(column), "{missing}");
    let drop_roles = ["writer", "relay", "operator"]
        .map(|role| format!("DROP OWNED BY tool_outbox_{role}; DROP ROLE tool_outbox_{role};"));
    run(drop_roles.concat()).await;
}
