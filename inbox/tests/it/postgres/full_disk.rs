//! A server whose disk is full: the worker says so, waits, and counts no attempt.

use std::{path::PathBuf, process::Command, time::Duration};

use mainstay_database::postgres::sqlx::AssertSqlSafe;
use mainstay_inbox::conformance::Fixture as _;
use mainstay_testkit::{SmallDisk, postgres::PrivateServer};

use super::{
    fixture_in,
    scene::{Act, Running, all_committed, effects, publish, until},
};
use crate::named::{message, topic};

const SUITE: &str = "inbox on a full disk";
const MEGABYTES: u32 = 64;

/// The tables are on the disk that is filled, the server's log is not.
#[tokio::test]
async fn a_worker_reports_a_full_disk_and_goes_on_once_there_is_room() {
    let Some(disk) = SmallDisk::for_suite(SUITE, MEGABYTES).unwrap() else {
        return;
    };
    let Some(server) = PrivateServer::for_suite(SUITE).await.unwrap() else {
        return;
    };
    let server = server.server().unwrap();
    let database = server.database().await.unwrap();
    let mut owner = server.connect().await.unwrap();
    for sql in [
        format!(
            "CREATE TABLESPACE small LOCATION '{}'; GRANT CREATE ON TABLESPACE small TO public",
            disk.path().display()
        ),
        format!(
            "ALTER DATABASE {} SET default_tablespace = small",
            database.name()
        ),
    ] {
        for statement in sql.split(';') {
            let statement = AssertSqlSafe(statement.to_owned());
            sqlx::query(statement).execute(&mut owner).await.unwrap();
        }
    }
    let f = fixture_in(database, |settings| settings).await;
    f.create_topic(&topic(), 1).await;
    // Its page has room for further processed records; the table of effects has no page yet.
    publish(&f, &[message("none", 0)]).await;
    let plan = |name: &str| match name {
        "none-0" => Act::Nap(Duration::ZERO),
        _ => Act::Write,
    };
    let running = Running::start(&f, plan, |worker| worker).await;
    all_committed(&f).await;
    assert_eq!((f.processed().await, f.effects().await.len()), (1, 0));
    disk.fill().unwrap();
    let messages = [message("a", 0), message("a", 1), message("b", 0)];
    publish(&f, &messages).await;
    let words = [
        "disk is full: make room",
        "No space left on device",
        "work goes on by itself",
    ];
    until("it says so", async || {
        let why = running.status().last_error?;
        words.iter().all(|word| why.contains(word)).then_some(())
    })
    .await;
    until("it is tried again", async || {
        (running.starts_of("a-0") > 2).then_some(())
    })
    .await;
    assert!(running.status().blocked_keys.is_empty(), "it was counted");
    assert_eq!((f.processed().await, f.effects().await.len()), (1, 0));

    disk.make_room().unwrap();
    let effects = effects(&f, 3).await;
    assert!(effects.iter().position(|e| e == "a-0") < effects.iter().position(|e| e == "a-1"));
    all_committed(&f).await;
    assert!(running.status().blocked_keys.is_empty(), "it was counted");
    assert_eq!(running.status().last_error, None);
    running.stop().await;
    assert_eq!((f.processed().await, f.effects().await.len()), (4, 3));
}

/// Without room for its write-ahead log a server stops, and does not start again before there is
/// room.
#[tokio::test]
async fn a_server_that_stops_on_a_full_disk_loses_and_repeats_no_effect() {
    let Some(disk) = SmallDisk::for_suite(SUITE, MEGABYTES).unwrap() else {
        return;
    };
    let Some(server) = PrivateServer::for_suite(SUITE).await.unwrap() else {
        return;
    };
    let data = data_directory(&server).await;
    server.stop().await.unwrap();
    let (wal, small) = (data.join("pg_wal"), disk.path().join("pg_wal"));
    let copied = Command::new("cp").arg("-a").args([&wal, &small]).status();
    assert!(copied.unwrap().success());
    std::fs::remove_dir_all(&wal).unwrap();
    std::os::unix::fs::symlink(&small, &wal).unwrap();
    server.start_again().await.unwrap();

    let database = server.server().unwrap().database().await.unwrap();
    let f = fixture_in(database, |settings| settings).await;
    f.create_topic(&topic(), 1).await;
    let running = Running::start(&f, |_| Act::Write, |worker| worker).await;
    disk.fill().unwrap();
    let mut published = 0;
    until("the worker is without its server", async || {
        publish(&f, &[message("a", published)]).await;
        published += 1;
        // Switches to the next file, for which there is no room unless it exists already.
        let switch = sqlx::query("SELECT pg_switch_wal()").execute(&f.owner);
        drop(tokio::time::timeout(Duration::from_secs(5), switch).await);
        running.status().last_error
    })
    .await;
    let log = std::fs::read_to_string(data.with_file_name("log")).unwrap();
    assert!(log.contains("No space left on device"), "{log}");

    server.kill_immediate().await.unwrap();
    disk.make_room().unwrap();
    server.start_again().await.unwrap();
    publish(&f, &[message("a", published)]).await;
    let all: Vec<_> = (0..=published).map(|n| format!("a-{n}")).collect();
    assert_eq!(effects(&f, all.len()).await, all);
    all_committed(&f).await;
    assert!(running.status().blocked_keys.is_empty(), "it was counted");
    assert_eq!(running.status().last_error, None);
    running.stop().await;
}

async fn data_directory(server: &PrivateServer) -> PathBuf {
    let mut connection = server.server().unwrap().connect().await.unwrap();
    let directory: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    directory.into()
}
