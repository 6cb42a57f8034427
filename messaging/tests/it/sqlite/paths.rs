//! The path of a log: the file that it names, or a refusal.

use std::ffi::OsString;

use mainstay_messaging::{Error, sqlite::Broker};

#[tokio::test]
async fn a_log_is_in_the_file_that_its_path_names() {
    for name in [
        "plain.db",
        " with space.db",
        "50%20 off?mode=memory&cache=shared#x.db",
        "größe-🦀.db",
        "file:log.db?mode=memory",
        "sqlite:log.db",
        ":memory:",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        let broker = Broker::open(&path).await.unwrap();
        broker.create_topic("orders", 1).await.unwrap();
        let (id, files) = (broker.id(), files(directory.path()));
        let of_the_log = |file: &OsString| file.to_string_lossy().starts_with(name);
        assert!(files.iter().all(of_the_log), "{name}: {files:?}");
        drop(broker);
        assert!(
            std::fs::read(&path)
                .unwrap()
                .starts_with(b"SQLite format 3\0")
        );
        assert_eq!(Broker::open(&path).await.unwrap().id(), id, "{name}");
    }
}

fn files(directory: &std::path::Path) -> Vec<OsString> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[tokio::test]
async fn a_path_that_names_no_file_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let inside = |name: &str| directory.path().join(name).display().to_string();
    for (path, advice) in [
        (String::new(), "name one"),
        (":memory:".to_owned(), "name one"),
        (
            "file:log.db?mode=memory".to_owned(),
            "write log.db, or ./file:log.db",
        ),
        ("sqlite://log.db".to_owned(), "write log.db"),
        (inside(""), "directory"),
        (inside("missing/log.db"), "No such file"),
        (inside("nul\0.db"), "NUL byte"),
    ] {
        let error = Broker::open(&path).await.unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{path:?}: {error:?}");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let said = format!("{error}: {}", cause.unwrap_or_default());
        assert!(said.contains(advice), "{path:?}: {said}");
        assert!(
            files(directory.path()).is_empty(),
            "{path:?} left something behind"
        );
    }
}
