//! Wake-ups from process to process, and what becomes of messages without them.

use std::{sync::Arc, time::Duration};

use mainstay_clock::{Clock as _, SystemClock};
use mainstay_outbox::{
    Outbox as _, Relay,
    conformance::Tape,
    postgres::{Options, PostgresOutbox},
};
use mainstay_testkit::Wire;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, Running, message, open, shop, until};

fn deaf(relay: Relay<PostgresOutbox, Tape>) -> Relay<PostgresOutbox, Tape> {
    relay.slow_poll(PATIENCE * 10).lease(PATIENCE * 30)
}

#[tokio::test]
async fn a_relay_hears_of_commits_in_other_processes() {
    let Some(shop) = shop().await else { return };
    let shutdown = CancellationToken::new();
    let elsewhere = shop.other_process().await;
    let listening = tokio::spawn({
        let (outbox, shutdown) = (Arc::clone(&elsewhere), shutdown.clone());
        async move { outbox.listen(shutdown).await }
    });
    let announcing = tokio::spawn({
        let (outbox, shutdown) = (Arc::clone(&shop.outbox), shutdown.clone());
        async move { outbox.announce(shutdown).await }
    });
    let running = Running::start_as(&elsewhere, deaf);
    until("it listens", async || elsewhere.is_listening()).await;
    until("it runs", async || running.relay.status().shards == 1).await;
    for number in 0..20 {
        shop.commit(&[message("a", number)]).await;
        shop.outbox.ring();
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
async fn a_stream_of_rings_is_told_at_intervals_and_the_last_one_too() {
    let Some(shop) = shop().await else { return };
    let mut ear = PgListener::connect(&shop.server.url()).await.unwrap();
    ear.listen("mainstay_outbox").await.unwrap();
    // Nothing is told inside the transaction.
    shop.commit(&[message("a", 0)]).await;
    let shutdown = CancellationToken::new();
    let announcing = tokio::spawn({
        let (outbox, shutdown) = (Arc::clone(&shop.outbox), shutdown.clone());
        async move { outbox.announce(shutdown).await }
    });
    let quiet = tokio::time::timeout(Duration::from_millis(100), ear.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let ringing = async {
        for _ in 0..400 {
            shop.outbox.ring();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let clock = SystemClock::new();
    let started = clock.monotonic();
    let mut told = 0;
    tokio::select! {
        () = async { loop { assert_eq!(ear.recv().await.unwrap().payload(), "outbox"); told += 1; } } => {}
        () = ringing => {}
    }
    // One per 5 ms, and eight at once.
    let most = (clock.monotonic() - started).as_millis() / 5 + 10;
    assert!(told >= 2 && told <= most, "{told}, of {most} at most");
    // Drained, then one ring more, then the end.
    while let Ok(heard) = tokio::time::timeout(Duration::from_millis(200), ear.recv()).await {
        heard.unwrap();
    }
    shop.outbox.ring();
    shutdown.cancel();
    announcing.await.unwrap();
    let last = tokio::time::timeout(PATIENCE, ear.recv()).await;
    assert_eq!(last.unwrap().unwrap().payload(), "outbox");
}

/// The connection on which the relay listens dies, and nobody is told.
#[tokio::test]
async fn a_listener_that_died_silently_costs_latency_and_is_replaced() {
    let Some(shop) = shop().await else { return };
    let server = shop.server.options();
    let wire = Wire::to(server.get_host(), server.get_port())
        .await
        .unwrap();
    let mut options = Options::default();
    options.prove_listening_every = Duration::from_millis(300);
    let (_, outbox) = open(&shop.server.url(), options).await.unwrap();
    let outbox = Arc::new(outbox);
    let shutdown = CancellationToken::new();
    tokio::spawn({
        let (outbox, shutdown) = (Arc::clone(&outbox), shutdown.clone());
        let through = server.clone().host("127.0.0.1").port(wire.port());
        async move { outbox.listen_at(through, shutdown).await }
    });
    tokio::spawn({
        let (outbox, shutdown) = (Arc::clone(&shop.outbox), shutdown.clone());
        async move { outbox.announce(shutdown).await }
    });
    let running = Running::start_as(&outbox, |relay| relay.slow_poll(Duration::from_millis(150)));
    until("it listens", async || outbox.is_listening()).await;
    wire.fall_silent();
    let noticed = tokio::spawn({
        let outbox = Arc::clone(&outbox);
        async move {
            while outbox.is_listening() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    for number in 0..5 {
        shop.commit(&[message("a", number)]).await;
        shop.outbox.ring();
        until("the slow poll finds it", async || {
            running.tape.ids().len() == number + 1
        })
        .await;
    }
    let noticed = tokio::time::timeout(PATIENCE, noticed).await;
    noticed.expect("the silence is not noticed").unwrap();
    until("another listener is there", async || outbox.is_listening()).await;
    running.stop().await;
    // It hears: a relay that hardly polls is rung.
    let running = Running::start_as(&outbox, deaf);
    until("it runs", async || running.relay.status().shards == 1).await;
    shop.commit(&[message("a", 5)]).await;
    shop.outbox.ring();
    until("it is rung", async || running.tape.ids() == ["a-5"]).await;
    running.stop().await;
    shutdown.cancel();
}

/// As behind a pooler, or with a server that takes no more connections.
#[tokio::test]
async fn a_relay_works_where_nobody_listens() {
    let Some(shop) = shop().await else { return };
    let shutdown = CancellationToken::new();
    let nowhere = shop.server.options().database("there_is_no_such_database");
    tokio::spawn({
        let (outbox, shutdown) = (Arc::clone(&shop.outbox), shutdown.clone());
        async move { outbox.listen_at(nowhere, shutdown).await }
    });
    let running = Running::start(&shop.outbox);
    let elsewhere = shop.other_process().await;
    let mut tx = shop.pool().begin().await.unwrap();
    let enqueue = elsewhere.enqueue(&mut tx, &message("a", 0)).await;
    enqueue.unwrap();
    tx.commit().await.unwrap();
    elsewhere.ring();
    shop.until_drained().await;
    assert_eq!(running.tape.ids(), ["a-0"]);
    assert!(!shop.outbox.is_listening());
    running.stop().await;
    shutdown.cancel();
}
