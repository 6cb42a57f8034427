//! On a pool that the service has already, and on a schema that another tool has made.

use mainstay_database::Namespace;
use mainstay_inbox::{
    HandlerError, PostgresInbox, Received, Worker, conformance::Fixture as _, postgres::MIGRATIONS,
};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{
    fixture,
    scene::{all_committed, publish},
};
use crate::named::{Named, group, message, topic};

async fn bill(tx: &mut PgConnection, order: Received<Named>) -> Result<(), HandlerError> {
    sqlx::query("INSERT INTO effects (effect) VALUES ($1)")
        .bind(order.event.name)
        .execute(tx)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_runs_on_an_existing_pool() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    publish(&f, &[message("a", 0), message("a", 0)]).await;
    let inbox = PostgresInbox::builder(f.owner.clone())
        .open()
        .await
        .unwrap();
    let consumer = f.consumer(&group(), &topic()).await;
    let worker = Worker::new(inbox, consumer).on(bill).spawn();
    all_committed(&f).await;
    assert!(worker.status().running);
    worker.shutdown().await.unwrap();
    assert!(!worker.status().running);
    assert_eq!(f.effects().await, ["a-0"]);
}

/// As the crate page tells users whose handlers take a `PgConnection`.
#[tokio::test]
async fn a_handler_is_tested_in_a_transaction_that_is_rolled_back() {
    let Some(f) = fixture().await else { return };
    let mut tx = f.owner.begin().await.unwrap();
    let order = Named {
        name: "a-0".to_owned(),
    };
    bill(&mut tx, Received::of(order)).await.unwrap();
    let billed: i64 = sqlx::query_scalar("SELECT count(*) FROM effects")
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    assert_eq!(billed, 1);
    tx.rollback().await.unwrap();
    assert!(f.effects().await.is_empty());
}

#[tokio::test]
async fn an_inbox_opens_on_a_schema_that_another_tool_has_made() {
    let Some(f) = fixture().await else { return };
    let namespace = Namespace::prefixed("tool_").unwrap();
    let builder = PostgresInbox::builder(&f.owner).namespace(namespace.clone());
    let error = builder.clone().open_without_migrating().await.unwrap_err();
    assert!(error.to_string().contains("run its migrations"), "{error}");
    for (_, sql) in MIGRATIONS.sql(&namespace) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        sql.execute(&f.owner).await.unwrap();
    }
    builder.clone().open_without_migrating().await.unwrap();
    // `open` finds the migrations done.
    builder.open().await.unwrap();
}
