//! Tables, where they are, and what a newer build has left.

use mainstay_database::{Error as DatabaseError, Namespace, postgres::Database};
use mainstay_saga::{
    Error, PostgresSagas, Query, Status, postgres::MIGRATIONS, store::DeskStore as _,
};

use super::{PostgresFixture, fixture, namespace};
use crate::stores::{patient, process, start};

#[tokio::test]
async fn runs_of_two_namespaces_are_apart() {
    let Some(f) = fixture().await else { return };
    let owner = Database::from(&f.owner);
    let other = Namespace::prefixed("other_").unwrap();
    let other = PostgresSagas::builder(&owner).namespace(other);
    let here = super::sagas_in(&owner).await;
    let one = process::<PostgresFixture, _>(here, patient());
    let other = process::<PostgresFixture, _>(other.open().await.unwrap(), patient());
    assert!(start(&one, "k1").await.unwrap().is_new());
    assert!(start(&other, "k1").await.unwrap().is_new());
    for process in [one, other] {
        assert_eq!(process.desk().count(&Query::all()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn tables_of_a_services_own_tool_are_accepted_and_missing_ones_refused() {
    let Some(f) = fixture().await else { return };
    let owner = Database::from(&f.owner);
    let plain = || PostgresSagas::builder(&owner);
    let refused = plain().open_without_migrating().await.unwrap_err();
    let missing = matches!(
        refused,
        Error::Database(DatabaseError::MissingSchema { .. })
    );
    assert!(missing, "{refused}");
    for (_, sql) in MIGRATIONS.sql(&Namespace::plain()) {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        sql.execute(&f.owner).await.unwrap();
    }
    plain().open_without_migrating().await.unwrap();
    plain().open().await.unwrap();
    // The role of the service may read what is asked of the schema.
    let service = PostgresSagas::builder(&f.database).namespace(namespace());
    service.open_without_migrating().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let Some(f) = fixture().await else { return };
    let newer =
        "INSERT INTO shop.sales_saga_schema (version, name, checksum) VALUES (2, '0002_saga', 0)";
    sqlx::query(newer).execute(&f.owner).await.unwrap();
    let sagas = PostgresSagas::builder(&f.database).namespace(namespace());
    let refused = sagas.open().await.unwrap_err();
    let newer = matches!(refused, Error::Database(DatabaseError::NewerSchema { .. }));
    assert!(newer, "{refused}");
}

#[tokio::test]
async fn a_row_of_a_newer_build_is_refused_by_name_and_left_untouched() {
    let Some(f) = fixture().await else { return };
    let sagas = process::<PostgresFixture, _>(f.sagas.clone(), patient());
    let run = start(&sagas, "k1").await.unwrap().run().clone();
    let _other = start(&sagas, "k2").await.unwrap();
    let paused = "UPDATE shop.sales_saga_runs SET status = 'paused' WHERE business_key = 'k1'";
    sqlx::query(paused).execute(&f.owner).await.unwrap();
    let refused = f.sagas.show(&run).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.contains(run.as_str()), "{told}");
    assert!(told.contains("paused") && told.contains("newer"), "{told}");
}

#[tokio::test]
async fn a_row_of_a_newer_build_is_listed_as_broken_and_hides_no_other() {
    let Some(f) = fixture().await else { return };
    let sagas = process::<PostgresFixture, _>(f.sagas.clone(), patient());
    for key in ["k1", "k2", "k3"] {
        let _new = start(&sagas, key).await.unwrap();
    }
    let paused = "UPDATE shop.sales_saga_runs SET status = 'paused' WHERE business_key = 'k2'";
    sqlx::query(paused).execute(&f.owner).await.unwrap();
    let listed = sagas.desk().list(&Query::all(), None, 9).await.unwrap();
    let listed = listed.items.iter();
    let mut listed: Vec<_> = listed.map(|item| (&*item.key, item.status)).collect();
    listed.sort_unstable();
    let running = Status::Running;
    let expected = [("k1", running), ("k2", Status::Broken), ("k3", running)];
    assert_eq!(listed, expected);
}
