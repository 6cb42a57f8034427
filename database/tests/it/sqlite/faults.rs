//! Files that are busy or full, and connections that break.

use super::*;

async fn hurried(database: &Database) -> Database {
    let mut options = Options::default();
    options.busy_timeout = Duration::from_millis(50);
    Database::open_with(database.path(), options).await.unwrap()
}

#[tokio::test]
async fn a_file_that_another_process_keeps_busy_is_a_conflict() {
    let (database, _directory) = database().await;
    let other = hurried(&database).await;
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    let busy = other.begin().await.unwrap_err();
    assert!(
        matches!(busy, Error::Conflict(_)) && busy.is_retryable(),
        "{busy:?}"
    );
    database.commit(tx).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    insert(&mut tx, 2, 20).await.unwrap();
    other.commit(tx).await.unwrap();
    assert_eq!(keys(&database).await, [1, 2]);
}

#[tokio::test]
async fn writers_of_two_handles_wait_for_each_other() {
    let (database, _directory) = database().await;
    let other = Database::open(database.path()).await.unwrap();
    let mut writers = Vec::new();
    for key in 0..40 {
        let database = if key % 2 == 0 {
            database.clone()
        } else {
            other.clone()
        };
        writers.push(tokio::spawn(async move {
            let mut tx = database.begin().await.unwrap();
            insert(&mut tx, key, 0).await.unwrap();
            database.commit(tx).await.unwrap();
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(keys(&database).await.len(), 40);
}

/// Until the file is full; the transaction is left open.
async fn fill(tx: &mut sqlx::SqliteConnection) -> Error {
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 5));
    sqlx::query(limit).execute(&mut *tx).await.unwrap();
    let insert = "INSERT INTO number (key, value) VALUES ($1, zeroblob(4000))";
    for key in 1_000.. {
        let inserted = sqlx::query(insert).bind(key).execute(&mut *tx).await;
        if let Err(error) = inserted {
            return classify(error);
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_writes_go_on_when_there_is_room_again() {
    let (database, _directory) = database().await;
    for key in 0..3 {
        let mut tx = database.begin().await.unwrap();
        insert(&mut tx, key, 0).await.unwrap();
        let full = fill(&mut tx).await;
        assert!(
            matches!(full, Error::Unavailable(_)) && full.is_retryable(),
            "{full:?}"
        );
        drop(tx);
        let mut tx = database.begin().await.unwrap();
        let room = "PRAGMA max_page_count = 1000000";
        sqlx::query(room).execute(&mut *tx).await.unwrap();
        insert(&mut tx, key + 100, 0).await.unwrap();
        database.commit(tx).await.unwrap();
    }
    assert_eq!(keys(&database).await, [100, 101, 102]);
}

#[tokio::test]
async fn a_transaction_that_sqlite_rolled_back_does_not_commit() {
    let (database, _directory) = database().await;
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    // What SQLite does by itself when the disk is full or fails.
    sqlx::query("ROLLBACK").execute(&mut *tx).await.unwrap();
    assert!(database.commit(tx).await.is_err());
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 2, 20).await.unwrap();
    database.commit(tx).await.unwrap();
    assert_eq!(keys(&database).await, [2]);
}

#[tokio::test]
async fn a_unique_violation_is_final_and_leaves_the_transaction_usable() {
    let (database, _directory) = database().await;
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    let twice = insert(&mut tx, 1, 10).await.unwrap_err();
    assert!(
        matches!(twice, Error::Failed(_)) && !twice.is_retryable(),
        "{twice:?}"
    );
    insert(&mut tx, 2, 20).await.unwrap();
    database.commit(tx).await.unwrap();
    assert_eq!(keys(&database).await, [1, 2]);
}

#[tokio::test]
async fn a_closed_database_answers_with_an_error() {
    let (database, _directory) = database().await;
    database.close().await;
    let closed = database.begin().await.unwrap_err();
    assert!(!closed.is_retryable(), "{closed:?}");
}
