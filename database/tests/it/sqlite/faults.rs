//! Files that are busy or full, and connections that break.

use mainstay_database::Transactions as _;

use super::*;

async fn hurried(database: &Database) -> Database {
    Database::builder(database.path())
        .busy_timeout(Duration::from_millis(50))
        .open()
        .await
        .unwrap()
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
async fn a_full_disk_is_unavailable_until_there_is_room_again() {
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

#[tokio::test]
async fn a_file_that_cannot_be_opened_again_is_unavailable_and_heals() {
    let (database, directory) = database().await;
    // The one reader there is: the next statement opens another connection.
    let reader = database.reader().acquire().await.unwrap();
    let hidden = directory.path().with_extension("hidden");
    std::fs::rename(directory.path(), &hidden).unwrap();
    let count = "SELECT count(*) FROM number";
    let counted = sqlx::query_scalar::<_, i64>(count).fetch_one(database.reader());
    let missing = classify(counted.await.unwrap_err());
    std::fs::rename(&hidden, directory.path()).unwrap();
    assert!(
        matches!(missing, Error::Unavailable(_)) && missing.is_retryable(),
        "{missing:?}"
    );
    let counted = sqlx::query_scalar::<_, i64>(count).fetch_one(database.reader());
    assert_eq!(counted.await.unwrap(), 0);
    drop(reader);
}

/// What the test below runs in a process of its own, in which no file may grow large.
#[tokio::test]
async fn a_commit_into_a_file_that_cannot_grow() {
    let Ok(path) = std::env::var("MAINSTAY_SMALL_FILES") else {
        return;
    };
    let database = Database::open(path).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let large = "INSERT INTO number (key, value) VALUES (1, zeroblob(1000000))";
    // Fits into the page cache: the first that writes is the commit.
    sqlx::query(large).execute(&mut *tx).await.unwrap();
    let failed = database.commit(tx).await.unwrap_err();
    assert!(report(&failed).contains("disk I/O error"), "{failed:?}");
    assert!(matches!(failed, Error::OutcomeUnknown(_)), "{failed:?}");
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 2, 20).await.unwrap();
    database.commit(tx).await.unwrap();
}

/// The frames may lie in the log and come back at the next recovery.
#[cfg(unix)]
#[tokio::test]
async fn an_io_error_at_a_commit_leaves_its_outcome_unknown() {
    let (database, _directory) = database().await;
    let script = r#"trap '' XFSZ; ulimit -f 400; exec "$0" --exact "$1" --nocapture"#;
    let case = "sqlite::faults::a_commit_into_a_file_that_cannot_grow";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(case)
        .env("MAINSTAY_SMALL_FILES", database.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(keys(&database).await, [2]);
}

/// Otherwise the next savepoint would open a transaction of its own, and its commit would succeed.
#[tokio::test]
async fn a_savepoint_shows_that_the_transaction_was_rolled_back_under_it() {
    let (database, _directory) = database().await;
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    database.savepoint(&mut tx).await.unwrap();
    let swallowed = sqlx::query("INSERT OR ROLLBACK INTO number VALUES (1, 20)");
    assert!(swallowed.execute(&mut *tx).await.is_err());
    let released = database.release_savepoint(&mut tx).await;
    assert!(matches!(released, Err(Error::Failed(_))), "{released:?}");
    let returned = database.roll_back_to_savepoint(&mut tx).await;
    assert!(matches!(returned, Err(Error::Failed(_))), "{returned:?}");
    drop(tx);
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 2, 10).await.unwrap();
    database.commit(tx).await.unwrap();
    assert_eq!(keys(&database).await, [2]);
}

#[tokio::test]
async fn a_failed_statement_lets_the_transaction_go_back_to_its_savepoint() {
    let (database, _directory) = database().await;
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    database.savepoint(&mut tx).await.unwrap();
    insert(&mut tx, 2, 10).await.unwrap();
    assert!(insert(&mut tx, 1, 20).await.is_err());
    database.roll_back_to_savepoint(&mut tx).await.unwrap();
    insert(&mut tx, 3, 10).await.unwrap();
    database.release_savepoint(&mut tx).await.unwrap();
    database.commit(tx).await.unwrap();
    assert_eq!(keys(&database).await, [1, 3]);
}
