//! A server whose disk is full: the error says so, relays retry, and nothing is lost.

use std::{collections::BTreeSet, path::PathBuf, process::Command, time::Duration};

use mainstay_clock::{IdGenerator as _, SeededIds};
use mainstay_database::Error as DatabaseError;
use mainstay_messaging::Message;
use mainstay_outbox::{Error, Outbox as _};
use mainstay_testkit::{SmallDisk, postgres::PrivateServer};
use sqlx::AssertSqlSafe;

use super::{Running, Shop, message, report, shop_in, until};

const SUITE: &str = "outbox on a full disk";
const MEGABYTES: u32 = 64;

/// A message with a payload that does not compress.
fn large(key: &str, number: usize, size: usize) -> Message {
    let noise = SeededIds::new(u64::try_from(number).unwrap());
    let words = std::iter::repeat_with(|| noise.random().to_le_bytes());
    let payload: Vec<u8> = words.take(size / 8).flatten().collect();
    let mut message = message(key, number);
    message.payload = Some(payload.into());
    message
}

async fn write(shop: &Shop, message: &Message) -> Result<(), Error> {
    let mut tx = shop.database.begin().await?;
    shop.outbox.enqueue(&mut tx, message).await?;
    Ok(shop.database.commit(tx).await?)
}

/// Published messages in the order of their first deliveries.
fn first_deliveries(running: &Running, key: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut ids = running.tape.ids_of(key);
    ids.retain(|id| seen.insert(id.clone()));
    ids
}

fn all(key: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{key}-{number}")).collect()
}

/// The tables are on the disk that is filled; the server's log is not.
#[tokio::test]
async fn writers_and_relays_say_that_the_disk_is_full_and_go_on_once_there_is_room() {
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
            "CREATE TABLESPACE small LOCATION '{}'",
            disk.path().display()
        ),
        format!(
            "ALTER DATABASE {} SET default_tablespace = small",
            database.name()
        ),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut owner)
            .await
            .unwrap();
    }
    let shop = shop_in(database, |outbox| outbox).await;
    // It will be refused at once, and the deferred table will have no room for it.
    shop.commit(&[large("stop", 0, 200_000), message("stop", 1)])
        .await;
    disk.fill().unwrap();

    let mut written = 0;
    let full = loop {
        match write(&shop, &large("a", written, 20_000)).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(full.is_retryable(), "{full:?}");
    let words = ["disk is full: make room", "No space left on device"];
    let said = report(&full);
    assert!(words.iter().all(|word| said.contains(word)), "{said}");

    let running = Running::start_as(&shop.outbox, |relay| {
        relay.lease(Duration::from_millis(300))
    });
    running.tape.refuse("stop-0");
    until("the relay says so", async || {
        let last_error = running.relay.status().last_error.unwrap_or_default();
        words.iter().all(|word| last_error.contains(word))
    })
    .await;
    assert!(
        write(&shop, &large("a", written, 20_000)).await.is_err(),
        "the disk is not full"
    );
    assert!(!running.task.is_finished(), "it gave up");

    disk.make_room().unwrap();
    until("the key is blocked", async || {
        running.relay.status().blocked_keys == 1
    })
    .await;
    write(&shop, &large("a", written, 20_000)).await.unwrap();
    running.tape.accept();
    shop.until_drained().await;
    assert_eq!(first_deliveries(&running, "a"), all("a", written + 1));
    assert_eq!(first_deliveries(&running, "stop"), all("stop", 2));
    // The error is cleared once the round is recorded.
    until("the error is cleared", async || {
        running.relay.status().last_error.is_none()
    })
    .await;
    running.stop().await;
}

/// Without room for its own log, a server goes down and does not start before there is some.
#[tokio::test]
async fn a_server_that_dies_for_want_of_room_loses_nothing() {
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
    let shop = shop_in(database, |outbox| outbox).await;
    let running = Running::start(&shop.outbox);
    for number in 0..20 {
        write(&shop, &message("a", number)).await.unwrap();
    }
    disk.fill().unwrap();
    let mut acknowledged: BTreeSet<_> = all("a", 20).into_iter().collect();
    let mut number = 20;
    let lost = loop {
        // Switch to the next file, for which there is no room unless it exists.
        let switch = sqlx::query("SELECT pg_switch_wal()").execute(shop.pool());
        let switched = switch.await.map(drop);
        let message = message("a", number);
        match write(&shop, &message).await {
            Ok(()) => drop(acknowledged.insert(message.id.to_string())),
            Err(error) => break error,
        }
        drop(switched);
        number += 1;
    };
    assert!(lost.is_retryable(), "{lost:?}");
    let log = std::fs::read_to_string(data.with_file_name("log")).unwrap();
    assert!(log.contains("No space left on device"), "{log}");
    until("the relay has no server", async || {
        running.relay.status().last_error.is_some()
    })
    .await;

    server.kill_immediate().await.unwrap();
    disk.make_room().unwrap();
    server.start_again().await.unwrap();
    until("the writer gets through", async || {
        match write(&shop, &message("b", 0)).await {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                false
            }
        }
    })
    .await;
    shop.until_drained().await;
    let published: BTreeSet<_> = running.tape.ids_of("a").into_iter().collect();
    assert!(published.is_superset(&acknowledged), "lost");
    // The outcome of the last commit is unknown; no other message may be published.
    let unknown = matches!(
        lost,
        Error::Database(DatabaseError::OutcomeUnknown(_) | DatabaseError::Unavailable(_))
    );
    assert!(unknown && published.len() - acknowledged.len() <= 1);
    assert!(
        first_deliveries(&running, "a")
            .is_sorted_by_key(|id| { id.strip_prefix("a-").unwrap().parse::<usize>().unwrap() })
    );
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
