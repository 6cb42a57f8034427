//! Tables, where they are, and what a newer build has left.

use mainstay_database::{Error as DatabaseError, Namespace, sqlite::Database};
use mainstay_saga::{Error, Query, SqliteSagas, Status, sqlite::MIGRATIONS, store::DeskStore as _};

use super::{SqliteFixture, fixture, namespace};
use crate::stores::{patient, process, start};

async fn execute(database: &Database, sql: &'static str) {
    let mut tx = database.begin().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
    database.commit(tx).await.unwrap();
}

#[tokio::test]
async fn runs_of_two_namespaces_are_apart() {
    let f = fixture().await;
    let other = Namespace::prefixed("other_").unwrap();
    let other = SqliteSagas::builder(&f.database).namespace(other);
    let one = process::<SqliteFixture, _>(f.sagas.clone(), patient());
    let other = process::<SqliteFixture, _>(other.open().await.unwrap(), patient());
    assert!(start(&one, "k1").await.unwrap().is_new());
    assert!(start(&other, "k1").await.unwrap().is_new());
    for process in [one, other] {
        assert_eq!(process.desk().count(&Query::all()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn tables_of_a_services_own_tool_are_accepted_and_missing_ones_refused() {
    let f = fixture().await;
    let plain = || SqliteSagas::builder(&f.database);
    let refused = plain().open_without_migrating().await.unwrap_err();
    let missing = matches!(
        refused,
        Error::Database(DatabaseError::MissingSchema { .. })
    );
    assert!(missing, "{refused}");
    for (_, sql) in MIGRATIONS.sql(&Namespace::plain()) {
        let mut tx = f.database.begin().await.unwrap();
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        sql.execute(&mut *tx).await.unwrap();
        f.database.commit(tx).await.unwrap();
    }
    plain().open_without_migrating().await.unwrap();
    plain().open().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let f = fixture().await;
    execute(
        &f.database,
        "INSERT INTO sales_saga_schema (version, name, checksum) VALUES (2, '0002_saga', 0)",
    )
    .await;
    let sagas = SqliteSagas::builder(&f.database).namespace(namespace());
    let refused = sagas.open().await.unwrap_err();
    let newer = matches!(refused, Error::Database(DatabaseError::NewerSchema { .. }));
    assert!(newer, "{refused}");
}

#[tokio::test]
async fn a_row_of_a_newer_build_is_refused_by_name_and_left_untouched() {
    let f = fixture().await;
    let sagas = process::<SqliteFixture, _>(f.sagas.clone(), patient());
    let run = start(&sagas, "k1").await.unwrap().run().clone();
    let _other = start(&sagas, "k2").await.unwrap();
    let paused = "UPDATE sales_saga_runs SET status = 'paused' WHERE business_key = 'k1'";
    execute(&f.database, paused).await;
    let refused = f.sagas.show(&run).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.contains(run.as_str()), "{told}");
    assert!(told.contains("paused") && told.contains("newer"), "{told}");
}

#[tokio::test]
async fn a_row_of_a_newer_build_is_listed_as_broken_and_hides_no_other() {
    let f = fixture().await;
    let sagas = process::<SqliteFixture, _>(f.sagas.clone(), patient());
    for key in ["k1", "k2", "k3"] {
        let _new = start(&sagas, key).await.unwrap();
    }
    let paused = "UPDATE sales_saga_runs SET status = 'paused' WHERE business_key = 'k2'";
    execute(&f.database, paused).await;
    let listed = sagas.desk().list(&Query::all(), None, 9).await.unwrap();
    let listed = listed.items.iter();
    let mut listed: Vec<_> = listed.map(|item| (&*item.key, item.status)).collect();
    listed.sort_unstable();
    let running = Status::Running;
    let expected = [("k1", running), ("k2", Status::Broken), ("k3", running)];
    assert_eq!(listed, expected);
}
