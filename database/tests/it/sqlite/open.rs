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

/// Set for a process: the tests that need it run in one of their own.
const IN_DIRECTORY: &str = "MAINSTAY_TEST_PATHS_IN";

/// Names that a file may have, and what some programs would take them for.
const NAMES: [&str; 22] = [
    "plain.db",
    "./dot.db",
    "below/one.db",
    "below/../up.db",
    "with space.db",
    " leading and trailing ",
    "50%20 off?mode=memory&cache=shared#x.db",
    "?mode=memory",
    "#x",
    "%41.db",
    "größe-数据-🦀.db",
    "'quote\".db",
    "back\\slash.db",
    "line\nbreak.db",
    "-flag",
    "~",
    "$HOME",
    "./:memory:",
    "./file:a.db?mode=memory&cache=shared",
    "./sqlite:b.db",
    "below/file:c.db",
    "FILE:d.db",
];

/// Names that are refused, and what to do.
const REFUSED: [(&str, &str); 14] = [
    ("", "name one"),
    (":memory:", "name one"),
    ("file:a.db", "write a.db, or ./file:a.db"),
    (
        "file:a.db?mode=memory&cache=shared",
        "write a.db, or ./file:a.db?mode=memory",
    ),
    ("file::memory:", "it is a URL"),
    ("file:///a/b.db", "write /a/b.db,"),
    ("file:below/c.db", "write below/c.db,"),
    ("sqlite:a.db", "write a.db, or ./sqlite:a.db"),
    ("sqlite://a.db", "write a.db,"),
    ("sqlite::memory:", "it is a URL"),
    ("below", "directory"),
    ("plain/", "directory"),
    ("missing/a.db", "No such file"),
    ("nul\0.db", "NUL byte"),
];

/// The file that was named, or a refusal that says what to do; relative to the working directory,
/// which belongs to the whole process.
#[test]
fn a_path_is_the_file_that_it_names_or_refused() {
    let Some(directory) = std::env::var_os(IN_DIRECTORY) else {
        let directory = tempfile::tempdir().unwrap();
        let this = std::env::current_exe().unwrap();
        let ended = std::process::Command::new(this)
            .args([
                "--exact",
                "sqlite::open::a_path_is_the_file_that_it_names_or_refused",
            ])
            .env(IN_DIRECTORY, directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    };
    std::env::set_current_dir(&directory).unwrap();
    let directory = std::path::PathBuf::from(directory);
    std::fs::create_dir_all("below").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        for name in NAMES {
            for path in [
                name.into(),
                directory
                    .join(format!("absolute {}", name.len()))
                    .join(name),
            ] {
                std::fs::create_dir_all(path.parent().unwrap().join("below")).unwrap();
                commits_to(&path).await;
            }
        }
        for (name, advice) in REFUSED {
            let before = files(&directory);
            let error = Database::open(name).await.unwrap_err();
            let said = report(&error);
            assert!(
                matches!(error, Error::CannotOpen { .. }),
                "{name:?}: {error:?}"
            );
            assert!(said.contains(advice), "{name:?}: {said}");
            assert_eq!(files(&directory), before, "{name:?} left something behind");
        }
    });
}

/// A commit is in the file of that very name, in nothing else, and the database says so.
async fn commits_to(path: &std::path::Path) {
    let directory = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty());
    let directory = directory.unwrap_or(std::path::Path::new("."));
    let told = path.display();
    let opened = Database::open(path).await;
    assert!(opened.is_ok(), "{told}: {opened:?}");
    let database = opened.unwrap();
    let before = files(directory);
    let mut tx = database.begin().await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (a)")
        .execute(&mut *tx)
        .await
        .unwrap();
    database.commit(tx).await.unwrap();
    assert_eq!(files(directory), before, "{told} wrote to another file");
    let says = database.path().to_owned();
    assert!(says.is_absolute(), "{}", says.display());
    database.close().await;
    // By the file system, and not by what SQLite makes of the name.
    let written = std::fs::read(path).unwrap();
    assert!(written.starts_with(b"SQLite format 3\0"), "{told}");
    assert!(
        written.windows(14).any(|text| text == b"CREATE TABLE t"),
        "{told}"
    );
    let same = std::fs::canonicalize(path).unwrap();
    assert_eq!(std::fs::canonicalize(says).unwrap(), same);
}

fn files(directory: &std::path::Path) -> std::collections::BTreeSet<std::ffi::OsString> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[cfg(unix)]
#[tokio::test]
async fn a_name_that_is_no_text_is_refused_and_leaves_nothing() {
    use std::os::unix::ffi::OsStrExt as _;

    let directory = tempfile::tempdir().unwrap();
    let path = directory
        .path()
        .join(std::ffi::OsStr::from_bytes(b"\xff.db"));
    let error = Database::open(&path).await.unwrap_err();
    assert!(report(&error).contains("UTF-8"), "{error}");
    assert!(files(directory.path()).is_empty());
}

/// All of them, and each is used.
#[tokio::test]
async fn every_duration_is_taken() {
    let days = Duration::from_secs(60 * 60 * 24);
    for timeout in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(1),
        24 * days,
        25 * days,
        Duration::MAX,
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data.db");
        let database = Database::builder(&path).busy_timeout(timeout);
        let database = database.open().await.unwrap();
        let mut tx = database.begin().await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (a)")
            .execute(&mut *tx)
            .await
            .unwrap();
        database.commit(tx).await.unwrap();
        let millis: i64 = sqlx::query_scalar("PRAGMA busy_timeout")
            .fetch_one(database.reader())
            .await
            .unwrap();
        let expected: u128 = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
        assert_eq!(u128::from(millis.unsigned_abs()), expected, "{timeout:?}");
    }
}

#[tokio::test]
async fn a_number_of_readers_that_cannot_work_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    for count in [0, u32::MAX] {
        let database = Database::builder(directory.path().join("data.db")).readers(count);
        let error = database.open().await.unwrap_err();
        assert!(
            report(&error).contains(&format!("readers is {count}")),
            "{error}"
        );
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
    // However long this machine takes.
    let database = Database::builder(path).busy_timeout(Duration::MAX);
    let mut opening = tokio::spawn(database.open());
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
