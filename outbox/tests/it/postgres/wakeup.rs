//! Wake-up notifications across processes, and how messages are found without them.

use std::time::Duration;

use mainstay_clock::{Clock as _, SystemClock};
use mainstay_outbox::{Outbox as _, PostgresOutbox, Relay, conformance::Tape};
use mainstay_testkit::Wire;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, Running, message, open, shop, until};

fn without_polls(relay: Relay<PostgresOutbox, Tape>) -> Relay<PostgresOutbox, Tape> {
    relay.poll_interval(PATIENCE * 10).lease(PATIENCE * 30)
}

#[tokio::test]
async fn a_commit_in_another_process_wakes_the_relay() {
    let Some(shop) = shop().await else { return };
    let shutdown = CancellationToken::new();
    let elsewhere = shop.other_process().await;
    let listening = tokio::spawn({
        let (outbox, shutdown) = (elsewhere.clone(), shutdown.clone());
        async move { outbox.listen(shutdown.cancelled_owned()).await }
    });
    let announcing = tokio::spawn({
        let (outbox, shutdown) = (shop.outbox.clone(), shutdown.clone());
        async move { outbox.announce(shutdown.cancelled_owned()).await }
    });
    let running = Running::start_as(&elsewhere, without_polls);
    until("it listens", async || elsewhere.is_listening()).await;
    until("it runs", async || running.relay.status().shards == 1).await;
    for number in 0..20 {
        // A commit through the database announces itself.
        let mut tx = shop.database.begin().await.unwrap();
        let message = message("a", number);
        shop.outbox.enqueue(&mut tx, &message).await.unwrap();
        shop.database.commit(tx).await.unwrap();
        until("it is published", async || {
            running.tape.ids().len() == number + 1
        })
        .await;
    }
    running.stop().await;
    shutdown.cancel();
    listening.await.unwrap();
    announcing.await.unwrap();
    assert!(!elsewhere.is_listening());
}

#[tokio::test]
async fn a_stream_of_commits_is_announced_at_intervals_up_to_the_last_one() {
    let Some(shop) = shop().await else { return };
    let mut listener = PgListener::connect(&shop.server.url()).await.unwrap();
    listener.listen("mainstay_outbox").await.unwrap();
    // The transaction itself sends no notification.
    shop.commit(&[message("a", 0)]).await;
    let shutdown = CancellationToken::new();
    let announcing = tokio::spawn({
        let (outbox, shutdown) = (shop.outbox.clone(), shutdown.clone());
        async move { outbox.announce(shutdown.cancelled_owned()).await }
    });
    let quiet = tokio::time::timeout(Duration::from_millis(100), listener.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let notifying = async {
        for _ in 0..400 {
            shop.outbox.notify();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let clock = SystemClock::new();
    let started = clock.monotonic();
    let mut received = 0;
    tokio::select! {
        () = async { loop { assert_eq!(listener.recv().await.unwrap().payload(), "outbox"); received += 1; } } => {}
        () = notifying => {}
    }
    // One per 5 ms, and eight at the start.
    let most = (clock.monotonic() - started).as_millis() / 5 + 10;
    assert!(
        received >= 2 && received <= most,
        "{received}, of {most} at most"
    );
    // After a quiet time, one more and then the shutdown.
    while let Ok(more) = tokio::time::timeout(Duration::from_millis(200), listener.recv()).await {
        more.unwrap();
    }
    shop.outbox.notify();
    shutdown.cancel();
    announcing.await.unwrap();
    let last = tokio::time::timeout(PATIENCE, listener.recv()).await;
    assert_eq!(last.unwrap().unwrap().payload(), "outbox");
}

/// The connection on which the relay listens fails silently.
#[tokio::test]
async fn a_listener_that_failed_silently_costs_latency_and_is_replaced() {
    let Some(shop) = shop().await else { return };
    let server = shop.server.options();
    let wire = Wire::to(server.get_host(), server.get_port())
        .await
        .unwrap();
    let interval = Duration::from_millis(300);
    let url = shop.server.url();
    let opened = open(&url, |outbox| outbox.listen_check_interval(interval));
    let (_, outbox) = opened.await.unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn({
        let (outbox, shutdown) = (outbox.clone(), shutdown.clone());
        let through = server.clone().host("127.0.0.1").port(wire.port());
        async move { outbox.listen_at(through, shutdown.cancelled_owned()).await }
    });
    tokio::spawn({
        let (outbox, shutdown) = (shop.outbox.clone(), shutdown.clone());
        async move { outbox.announce(shutdown.cancelled_owned()).await }
    });
    let running = Running::start_as(&outbox, |relay| {
        relay.poll_interval(Duration::from_millis(150))
    });
    until("it listens", async || outbox.is_listening()).await;
    wire.fall_silent();
    let noticed = tokio::spawn({
        let outbox = outbox.clone();
        async move {
            while outbox.is_listening() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    for number in 0..5 {
        shop.commit(&[message("a", number)]).await;
        shop.outbox.notify();
        until("a poll finds it", async || {
            running.tape.ids().len() == number + 1
        })
        .await;
    }
    let noticed = tokio::time::timeout(PATIENCE, noticed).await;
    noticed.expect("the silence is not noticed").unwrap();
    until("another listener is there", async || outbox.is_listening()).await;
    running.stop().await;
    // The new one works: it wakes a relay that hardly polls.
    let running = Running::start_as(&outbox, without_polls);
    until("it runs", async || running.relay.status().shards == 1).await;
    shop.commit(&[message("a", 5)]).await;
    shop.outbox.notify();
    until("it is woken", async || running.tape.ids() == ["a-5"]).await;
    running.stop().await;
    shutdown.cancel();
}

/// As behind a pooler, or if the server accepts no more connections.
#[tokio::test]
async fn a_relay_works_without_notifications() {
    let Some(shop) = shop().await else { return };
    let shutdown = CancellationToken::new();
    let nowhere = shop.server.options().database("there_is_no_such_database");
    tokio::spawn({
        let (outbox, shutdown) = (shop.outbox.clone(), shutdown.clone());
        async move { outbox.listen_at(nowhere, shutdown.cancelled_owned()).await }
    });
    let running = Running::start(&shop.outbox);
    let elsewhere = shop.other_process().await;
    let mut tx = shop.pool().begin().await.unwrap();
    let enqueue = elsewhere.enqueue(&mut tx, &message("a", 0)).await;
    enqueue.unwrap();
    tx.commit().await.unwrap();
    elsewhere.notify();
    shop.until_drained().await;
    assert_eq!(running.tape.ids(), ["a-0"]);
    assert!(!shop.outbox.is_listening());
    running.stop().await;
    shutdown.cancel();
}
