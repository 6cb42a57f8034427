//! When a relay looks, how much it takes, and what it tells.

use std::sync::Arc;

use mainstay_database::Transactions as _;

use super::{
    Fixture, PATIENCE, Running, Tape, commit, counted::Counted, message, until, until_empty,
};
use crate::{Error, Outbox as _, shard_of, status::Activity};

pub async fn a_ring_is_heard_at_once<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let deaf = |relay: crate::Relay<F::Store, Tape>| {
        relay.poll_interval(PATIENCE * 10).lease(PATIENCE * 30)
    };
    let running = Running::start_as(f.store(), &tape, deaf);
    until("it runs", async || running.relay.status().shards == 4).await;
    for number in 0..20 {
        commit(f, &[message("a", number)]).await;
        f.store().ring();
        until("it is published", async || tape.ids().len() == number + 1).await;
    }
    running.stop().await;
}

pub async fn a_commit_without_a_ring_is_found_soon<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let deaf = |relay: crate::Relay<Counted<F::Store>, Tape>| {
        relay.poll_interval(PATIENCE * 10).lease(PATIENCE * 30)
    };
    let store = Counted::new(f.store());
    let running = Running::start_as(Arc::clone(&store), &tape, deaf);
    until("it runs", async || running.relay.status().shards == 4).await;
    let mut tx = f.database().begin().await.unwrap();
    f.store().enqueue(&mut tx, &message("a", 0)).await.unwrap();
    // The transaction stays open while the relay climbs its ladder.
    let looks = store.looks();
    until("it looks in vain", async || store.looks() >= looks + 6).await;
    f.database().commit(tx).await.unwrap();
    until_empty(f).await;
    running.stop().await;
}

pub async fn rows_of_another_process_are_found_by_the_slow_poll<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let running = Running::start(f.other_process().await, &tape);
    until("it runs", async || running.relay.status().shards == 4).await;
    commit(f, &[message("a", 0)]).await;
    until_empty(f).await;
    running.stop().await;
}

pub async fn shutdown_finishes_the_round_in_flight<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.hold(true);
    let running = Running::start(f.store(), &tape);
    commit(f, &[message("a", 0)]).await;
    until("a send is in flight", async || tape.calls() == 1).await;
    running.shutdown.cancel();
    tape.hold(false);
    running.stop().await;
    assert_eq!(tape.ids(), ["a-0"]);
    assert_eq!(f.rows().await, (0, 0), "it was published and not recorded");
}

pub async fn a_batch_is_bounded_in_messages_and_in_bytes<F: Fixture>(f: &F) {
    let large = |number| {
        let mut message = message("a", number);
        message.payload = Some(vec![0; 5_000].into());
        message
    };
    commit(f, &[large(0), large(1), large(2)]).await;
    let tape = Arc::new(Tape::default());
    let running = Running::start_as(f.store(), &tape, |relay| relay.batch(100, 4_000));
    until_empty(f).await;
    assert_eq!(
        tape.batches(),
        [1, 1, 1],
        "a message larger than the bound goes alone"
    );
    running.stop().await;
    let small: Vec<_> = (3..13).map(|n| message("a", n)).collect();
    commit(f, &small).await;
    let running = Running::start_as(f.store(), &tape, |relay| relay.batch(4, 1_000_000));
    until_empty(f).await;
    assert_eq!(tape.batches()[3..], [4, 4, 2]);
    running.stop().await;
}

pub async fn another_number_of_shards_is_refused<F: Fixture>(f: &F) {
    let refused = f.open_with_five_shards().await;
    assert!(
        matches!(
            refused,
            Err(Error::OtherLayout {
                stored: 4,
                configured: 5,
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(!refused.unwrap_err().is_retryable());
    // Where a message lies says the hash, so that all processes agree.
    assert_eq!(shard_of(&message("a", 0), 4), shard_of(&message("a", 1), 4));
}

pub async fn status_tells_what_is_stopped<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.refuse("a-0");
    let running = Running::start(f.store(), &tape);
    commit(f, &[message("a", 0), message("a", 1), message("b", 0)]).await;
    until("a blocked key is told", async || {
        let status = running.relay.status();
        status.blocked_keys == 1 && status.published == 1 && !status.is_healthy()
    })
    .await;
    let relay = Arc::clone(&running.relay);
    tape.accept();
    until("it is told that none is", async || {
        relay.status().is_healthy()
    })
    .await;
    running.stop().await;
    assert_eq!(relay.status().activity, Activity::Stopped);
}
