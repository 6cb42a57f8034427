//! Which log a file holds.

use std::{collections::BTreeSet, path::Path};

use mainstay_database::{Migrations, Namespace};
use mainstay_messaging::sqlite::MIGRATIONS;

use super::*;

async fn open(path: &Path) -> Broker {
    let database = Database::open(path).await.unwrap();
    Broker::builder_on(database).open().await.unwrap()
}

#[tokio::test]
async fn a_log_keeps_its_id_and_no_other_log_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let [path, elsewhere] = ["a.db", "b.db"].map(|name| directory.path().join(name));
    let broker = open(&path).await;
    let (id, here) = (broker.id(), open(&path).await.id());
    assert_eq!(id, here, "another handle");
    drop(broker);
    assert_eq!(id, open(&path).await.id(), "opened again");
    assert_ne!(id, open(&elsewhere).await.id());

    let database = Database::open(&path).await.unwrap();
    let beside = Broker::builder_on(database)
        .namespace(Namespace::prefixed("second_").unwrap())
        .open()
        .await
        .unwrap();
    assert_ne!(id, beside.id(), "another log in the same file");
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_that_open_a_new_log_at_once_agree_on_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let path: Arc<Path> = directory.path().join("broker.db").into();
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let path = Arc::clone(&path);
            tokio::spawn(async move { open(&path).await.id() })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for opened in opening {
        ids.insert(opened.await.unwrap());
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(ids.first().copied(), Some(open(&path).await.id()));
}

/// A process that starts does not stand still because another one is busy.
#[tokio::test]
async fn opening_a_log_that_is_there_does_not_wait_for_its_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.db");
    let id = open(&path).await.id();
    let database = Database::open(&path).await.unwrap();
    let writing = database.begin().await.unwrap();

    // With a timeout of its own, a process would wait for so long and then fail.
    let another = Database::builder(&path)
        .busy_timeout(Duration::ZERO)
        .open()
        .await
        .unwrap();
    let broker = Broker::builder_on(another).open().await.unwrap();
    assert_eq!(broker.id(), id);
    // In the same process, the writer has the only connection that writes.
    let opening = Broker::builder_on(database).open();
    let broker = tokio::time::timeout(Duration::from_secs(60), opening).await;
    assert_eq!(broker.unwrap().unwrap().id(), id);
    drop(writing);
}

#[tokio::test]
async fn a_log_without_an_id_gets_one_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.db");
    let before = Migrations {
        component: MIGRATIONS.component,
        steps: &MIGRATIONS.steps[..1],
    };
    let database = Database::open(&path).await.unwrap();
    database
        .migrate(&before, &Namespace::plain())
        .await
        .unwrap();
    for sql in [
        "INSERT INTO broker_partitions (id, topic, number, next_offset) VALUES (1, 'orders', 0, 1)",
        "INSERT INTO broker_records (id, envelope, appended_at) VALUES (1 << 40, '{', 0)",
    ] {
        let mut tx = database.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
    }
    let broker = open(&path).await;
    let topics = [Topic::from_static(TOPIC)];
    let mut consumer = broker.consumer("g").subscribe(&topics).await.unwrap();
    assert_eq!(next_deliveries(&mut consumer).await.len(), 1);
    assert_eq!(broker.id(), open(&path).await.id());
}

#[tokio::test]
async fn a_log_opens_on_the_schema_of_another_tool() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("broker.db"));
    let database = database.await.unwrap();
    let open = || Broker::builder_on(&database).open_without_migrating();
    let missing = open().await.unwrap_err();
    let said = "the schema of broker is missing or too old, run its migrations";
    assert!(missing.to_string().contains(said), "{missing}");

    for (_, sql) in MIGRATIONS.sql(&Namespace::plain()) {
        let mut tx = database.begin().await.unwrap();
        let script = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(script).execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
    }
    let id = open().await.unwrap().id();
    let migrating = Broker::builder_on(&database).open().await.unwrap();
    assert_eq!(migrating.id(), id);
}
