//! Holders and writers with the privileges that `roles` grants, and no others.

use std::time::Duration;

use mainstay_database::{
    Namespace,
    postgres::{Database, statement},
};
use mainstay_dlock::{
    FencingToken, Locks, PostgresFences, PostgresLeases,
    postgres::{MIGRATIONS, guarded, roles},
};

use super::{LONG, UNFENCED, fixture, refused, renewed};

fn namespace() -> Namespace {
    let prefixed = Namespace::prefixed("shop_").unwrap();
    prefixed.in_schema("sales").unwrap()
}

/// A connection that has become a role, which owns nothing.
async fn connect_as(url: &str, role: &str) -> Database {
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}options[role]={role}");
    Database::connect(&url).await.unwrap()
}

#[tokio::test]
async fn holders_and_writers_need_no_other_privileges() {
    let Some(f) = fixture().await else {
        return;
    };
    let owner = f.database.pool();
    let create = "CREATE SCHEMA sales; CREATE TABLE sales.stock (pieces INT)";
    sqlx::raw_sql(create).execute(owner).await.unwrap();
    let leases = PostgresLeases::builder(owner).namespace(namespace());
    leases.open().await.unwrap();
    // Like processes that start at once.
    let granting = (0..4).map(|_| sqlx::raw_sql(roles(&namespace())).execute(owner));
    for granted in futures_util::future::join_all(granting).await {
        granted.unwrap();
    }
    let guards = guarded(&namespace(), "sales.stock", "stock");
    sqlx::raw_sql(guards).execute(owner).await.unwrap();
    let grant = "GRANT INSERT ON sales.stock TO shop_dlock_writer";
    sqlx::raw_sql(grant).execute(owner).await.unwrap();
    let url = f.server.url();
    let (holder, writer) = (
        connect_as(&url, "shop_dlock_holder").await,
        connect_as(&url, "shop_dlock_writer").await,
    );

    // If the schema is up to date, opening only reads.
    let leases = PostgresLeases::builder(&holder).namespace(namespace());
    let fences = PostgresFences::builder(&writer).namespace(namespace());
    for migrating in [true, false] {
        let (leases, fences) = (leases.clone(), fences.clone());
        if migrating {
            leases.open().await.unwrap();
            fences.open().await.unwrap();
        } else {
            leases.open_without_migrating().await.unwrap();
            fences.open_without_migrating().await.unwrap();
        }
    }
    let (leases, fences) = (leases.open().await.unwrap(), fences.open().await.unwrap());
    let lease = Duration::from_secs(4);
    let locks = Locks::builder(leases).lease(lease).build();
    let guard = locks.acquire("stock", LONG).await.unwrap();
    renewed(&guard, 1).await;
    guard.release().await.unwrap();
    locks.raise_floor("stock", FencingToken::new(1_000));
    let guard = locks.acquire("stock", LONG).await.unwrap();
    assert!(guard.token() > FencingToken::new(1_000));
    let write = "INSERT INTO sales.stock VALUES (1)";
    let mut tx = writer.begin().await.unwrap();
    assert_eq!(refused(&mut tx, write).await.as_deref(), UNFENCED);
    drop(tx);
    for _ in 0..2 {
        let mut tx = writer.begin().await.unwrap();
        guard.check(&fences, &mut tx).await.unwrap();
        assert_eq!(refused(&mut tx, write).await, None);
        writer.commit(tx).await.unwrap();
    }

    for (database, forbidden) in [
        (&holder, "UPDATE sales.shop_dlock_leases SET name = 'other'"),
        (&holder, "TRUNCATE sales.shop_dlock_leases"),
        (&holder, "SELECT * FROM sales.shop_dlock_fences"),
        (
            &holder,
            "INSERT INTO sales.shop_dlock_schema VALUES (9, 'x', 0)",
        ),
        (&writer, "SELECT * FROM sales.shop_dlock_leases"),
        (&writer, "SELECT nextval('sales.shop_dlock_tokens')"),
        (&writer, "DELETE FROM sales.shop_dlock_fences"),
        (&writer, "UPDATE sales.shop_dlock_fences SET name = 'other'"),
        (&writer, "DROP TABLE sales.shop_dlock_fences"),
        (&writer, "CREATE TABLE sales.more (id BIGINT)"),
    ] {
        let mut tx = database.begin().await.unwrap();
        let code = refused(&mut tx, forbidden).await;
        assert_eq!(code.as_deref(), Some("42501"), "{forbidden}");
    }
    guard.release().await.unwrap();
}

/// Such a tool keeps a record of its own, and none of ours.
#[tokio::test]
async fn the_role_is_granted_on_tables_that_another_tool_made() {
    let Some(f) = fixture().await else { return };
    let tool = Namespace::prefixed("tool_").unwrap();
    // Rolled back, because roles would stay on the server.
    let mut tx = f.database.pool().begin().await.unwrap();
    let steps = MIGRATIONS.steps.iter();
    let made = steps.map(|step| statement(&tool, step.sql));
    for sql in made.chain([roles(&tool)]) {
        sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
    }
    let can = "SELECT has_table_privilege('tool_dlock_holder', 'tool_dlock_leases', 'INSERT')";
    let can: bool = sqlx::query_scalar(can).fetch_one(&mut *tx).await.unwrap();
    assert!(can);
}
