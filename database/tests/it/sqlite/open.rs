//! Opening files, and visibility.

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::*;

#[tokio::test]
async fn readers_see_only_what_is_committed() {
    let (database, _directory) = database().await;
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    assert_eq!(keys(&database).await, [] as [u32; 0]);
    database.commit(tx).await.unwrap();
    assert_eq!(keys(&database).await, [1]);
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 2, 20).await.unwrap();
    drop(tx);
    drop(database.begin().await.unwrap());
    assert_eq!(keys(&database).await, [1]);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let (database, _directory) = database().await;
    let mut reader = database.reader().acquire().await.unwrap();
    let refused = insert(&mut reader, 1, 10).await;
    assert!(matches!(refused, Err(Error::Failed(_))), "{refused:?}");
}

#[tokio::test]
async fn commits_are_there_when_the_file_is_opened_again() {
    let (database, _directory) = database().await;
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    database.commit(tx).await.unwrap();
    database.close().await;
    let again = Database::open(database.path()).await.unwrap();
    assert_eq!(keys(&again).await, [1]);
}

#[tokio::test]
async fn durability_is_full_unless_asked_otherwise() {
    async fn pragmas(database: &Database) -> (i64, String) {
        let mut tx = database.begin().await.unwrap();
        let synchronous = sqlx::query_scalar("PRAGMA synchronous");
        let synchronous = synchronous.fetch_one(&mut *tx).await.unwrap();
        let journal = sqlx::query_scalar("PRAGMA journal_mode");
        (synchronous, journal.fetch_one(&mut *tx).await.unwrap())
    }
    let (database, directory) = database().await;
    assert_eq!(pragmas(&database).await, (2, "wal".to_owned()));
    let path = directory.path().join("other.db");
    let database = Database::builder(path)
        .synchronous(Synchronous::Normal)
        .open()
        .await
        .unwrap();
    assert_eq!(pragmas(&database).await, (1, "wal".to_owned()));
}

async fn assert_cannot_open(path: &std::path::Path) -> String {
    let error = Database::open(path).await.unwrap_err();
    assert!(matches!(error, Error::CannotOpen { .. }), "{error:?}");
    assert!(!error.is_retryable());
    let (said, report) = (error.to_string(), report(&error));
    assert!(said.contains(&path.display().to_string()), "{said}");
    let reason = said.split_once(" cannot be opened: ").unwrap().1;
    assert!(reason.len() > 5, "no reason given: {said}");
    report
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_is_named() {
    let directory = tempfile::tempdir().unwrap();
    assert_cannot_open(&directory.path().join("missing/data.db")).await;
    assert_cannot_open(directory.path()).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    let text = "Dear Sir or Madam, ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let report = assert_cannot_open(&path).await;
    assert!(report.contains("not a database"), "{report}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_without_a_file_is_refused() {
    for path in [":memory:", ""] {
        let report = assert_cannot_open(std::path::Path::new(path)).await;
        assert!(report.contains("needs a file"), "{report}");
    }
}

#[tokio::test]
async fn unusual_paths_are_taken_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "with space.db",
        "50%20 off?mode=memory#x.db",
        "größe.db",
        "'quote\".db",
    ] {
        let path = directory.path().join(name);
        let database = Database::open(&path).await.unwrap();
        assert!(path.is_file(), "{name}");
        database.close().await;
    }
}

#[tokio::test]
async fn ten_handles_open_one_new_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.db");
    let opening: Vec<_> = (0..10)
        .map(|_| tokio::spawn(Database::open(path.clone())))
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
}

/// The first process switches a new file to WAL. SQLite does not wait there for a writer, such as
/// another process that does the same.
#[tokio::test]
async fn opening_a_new_file_waits_for_its_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.db");
    let writer = writer_to_new(&path).await;
    let mut opening = tokio::spawn(Database::open(path));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut opening).await;
    assert!(early.is_err(), "{early:?}");
    writer.close().await.unwrap();
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn opening_gives_up_on_a_writer_that_does_not_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.db");
    let _writer = writer_to_new(&path).await;
    let error = Database::builder(path)
        .busy_timeout(Duration::from_millis(50))
        .open()
        .await
        .unwrap_err();
    assert!(report(&error).contains("locked"), "{}", report(&error));
}

/// In the middle of writing to a file that has no write-ahead log yet.
async fn writer_to_new(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    let mut writer = options.create_if_missing(true).connect().await.unwrap();
    for sql in ["CREATE TABLE t (a)", "BEGIN IMMEDIATE"] {
        sqlx::query(sql).execute(&mut writer).await.unwrap();
    }
    writer
}

#[tokio::test]
async fn a_commit_notifies_and_a_rollback_does_not() {
    let (database, _directory) = database().await;
    let counter = crate::listener::count_commits!(database);
    drop(database.begin().await.unwrap());
    let mut refused = database.begin().await.unwrap();
    insert(&mut refused, 1, 1).await.unwrap();
    insert(&mut refused, 1, 1).await.unwrap_err();
    drop(refused);
    assert_eq!(counter.commits(), 0);
    let tx = database.begin().await.unwrap();
    Database::from(&database).commit(tx).await.unwrap();
    assert_eq!(counter.commits(), 1);
}
