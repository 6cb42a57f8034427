//! What is published, and in which order.

use mainstay_database::Transactions as _;
use mainstay_messaging::Message;

use super::{Fixture, Running, Tape, commit, ids, message, until, until_empty};
use crate::{Enqueued, Entry, Outbox as _};

pub async fn a_message_is_published_if_and_only_if_its_transaction_committed<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let running = Running::start(f.store(), &tape);
    let mut rolled_back = f.database().begin().await.unwrap();
    f.store()
        .enqueue(&mut rolled_back, &message("a", 0))
        .await
        .unwrap();
    drop(rolled_back);
    commit(f, &[message("a", 1)]).await;
    let mut open = f.database().begin().await.unwrap();
    f.store()
        .enqueue(&mut open, &message("a", 2))
        .await
        .unwrap();
    until("the committed message is published", async || {
        tape.ids() == ["a-1"]
    })
    .await;
    f.database().commit(open).await.unwrap();
    until_empty(f).await;
    assert_eq!(tape.ids(), ["a-1", "a-2"]);
    running.stop().await;
}

pub async fn a_quiet_run_publishes_everything_exactly_once<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let running = Running::start(f.store(), &tape);
    let mut sent = Vec::new();
    for number in 0..30 {
        let messages: Vec<_> = (0..10).map(|k| message(&format!("k{k}"), number)).collect();
        commit(f, &messages).await;
        sent.extend(messages);
    }
    until_empty(f).await;
    running.stop().await;
    let mut stored = tape.stored();
    assert_eq!(
        stored.len(),
        300,
        "a message was published twice or not at all"
    );
    let by_id = |a: &Message, b: &Message| a.id.cmp(&b.id);
    stored.sort_by(by_id);
    sent.sort_by(by_id);
    assert_eq!(stored, sent, "a message was changed");
}

pub async fn messages_of_a_key_keep_the_order_of_their_enqueues<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let running = Running::start_as(f.store(), &tape, |relay| {
        relay.batch_size(7).batch_bytes(1_000_000)
    });
    for number in 0..60 {
        let keys = ["a", "b", "c", "d"];
        commit(f, &keys.map(|key| message(key, number))).await;
    }
    until_empty(f).await;
    for key in ["a", "b", "c", "d"] {
        assert_eq!(tape.ids_of(key), ids(key, 0..60));
    }
    running.stop().await;
}

pub async fn a_batch_keeps_the_order_of_its_slice<F: Fixture>(f: &F) {
    let messages: Vec<_> = (0..100).map(|n| message(["a", "b"][n % 2], n)).collect();
    let entries: Vec<_> = messages.iter().map(Entry::new).collect();
    let mut tx = f.database().begin().await.unwrap();
    let answers = f.store().enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, vec![Enqueued::Added; 100]);
    f.database().commit(tx).await.unwrap();
    let tape = Tape::default();
    let running = Running::start(f.store(), &tape);
    until_empty(f).await;
    running.stop().await;
    let of = |key| -> Vec<Message> {
        let of_key = |m: &&Message| m.key == message(key, 0).key;
        messages.iter().filter(of_key).cloned().collect()
    };
    for key in ["a", "b"] {
        let stored = tape.stored();
        let stored: Vec<_> = stored
            .into_iter()
            .filter(|m| m.key == message(key, 0).key)
            .collect();
        assert_eq!(stored, of(key));
    }
}
