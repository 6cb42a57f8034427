//! Delays, deduplication keys, sizes and events.

use std::{borrow::Cow, time::Duration};

use mainstay_database::Transactions as _;
use mainstay_messaging::{
    Event, envelope,
    event::{self, Upcaster},
};

use super::{ALL, Fixture, LEASE, Running, Tape, commit, message, until, until_empty};
use crate::{DeduplicationKey, Enqueued, Entry, Error, Outbox as _, store::RelayStore as _};

pub async fn a_delayed_message_waits_and_others_do_not_wait_for_it<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let (delayed, never) = (message("a", 0), message("b", 0));
    let mut tx = f.database().begin().await.unwrap();
    let entries = [
        // Longer than a relay on a busy machine takes to publish the other one.
        Entry::new(&delayed).deliver_after(Duration::from_secs(3)),
        Entry::new(&never).deliver_after(Duration::from_secs(100_000)),
    ];
    let answers = f.store().enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, [Enqueued::Added; 2]);
    f.store().enqueue(&mut tx, &message("a", 1)).await.unwrap();
    f.database().commit(tx).await.unwrap();
    let running = Running::start(f.store(), &tape);
    until("the delayed one was published", async || {
        tape.ids() == ["a-1", "a-0"]
    })
    .await;
    until("the other one waits", async || f.rows().await == (0, 1)).await;
    running.stop().await;
}

pub async fn an_endless_delay_is_never_due<F: Fixture>(f: &F) {
    let store = f.store();
    let endless = message("a", 0);
    let mut tx = f.database().begin().await.unwrap();
    let entries = [Entry::new(&endless).deliver_after(Duration::MAX)];
    let answers = store.enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, [Enqueued::Added]);
    f.database().commit(tx).await.unwrap();
    let leases = store.lease("relay", LEASE).await.unwrap();
    let fetched = store.fetch(&leases, ALL, &[]).await.unwrap();
    assert_eq!((fetched.rows.len(), f.rows().await), (0, (0, 1)));
    assert!(fetched.next_due > Some(LEASE * 1_000_000));
}

pub async fn a_delayed_message_of_a_blocked_key_is_held_behind_it<F: Fixture>(f: &F) {
    let tape = Tape::default();
    tape.refuse("a-0");
    let delayed = message("a", 9);
    let mut tx = f.database().begin().await.unwrap();
    let entries = [Entry::new(&delayed).deliver_after(Duration::from_secs(1))];
    let answers = f.store().enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, [Enqueued::Added]);
    f.database().commit(tx).await.unwrap();
    let running = Running::start(f.store(), &tape);
    commit(f, &[message("a", 0), message("a", 1)]).await;
    until(
        "the refused and the held one are in the deferred table",
        async || f.rows().await == (0, 3),
    )
    .await;
    let refusals = tape.refusals();
    // The delayed one is due by the store's own clock, which cannot be observed from outside.
    tokio::time::sleep(Duration::from_secs(1)).await;
    until("it is tried again after the delay", async || {
        tape.refusals() > refusals + 2
    })
    .await;
    tape.accept();
    until_empty(f).await;
    assert_eq!(tape.ids(), ["a-0", "a-1", "a-9"]);
    running.stop().await;
}

pub async fn a_deduplication_key_is_used_once_and_aborts_nothing<F: Fixture>(f: &F) {
    let (once, other) = (
        DeduplicationKey::new("once").unwrap(),
        DeduplicationKey::new("other").unwrap(),
    );
    let messages = [
        message("a", 0),
        message("a", 1),
        message("a", 2),
        message("a", 3),
    ];
    let mut tx = f.database().begin().await.unwrap();
    let entries = [
        Entry::new(&messages[0]).deduplicate(&once),
        Entry::new(&messages[1]).deduplicate(&once),
        Entry::new(&messages[2]).deduplicate(&other),
    ];
    let answers = f.store().enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(
        answers,
        [Enqueued::Added, Enqueued::Duplicate, Enqueued::Added]
    );
    f.database().commit(tx).await.unwrap();
    let tape = Tape::default();
    let running = Running::start(f.store(), &tape);
    until_empty(f).await;
    // Even if the first one was published before.
    let mut tx = f.database().begin().await.unwrap();
    let again = [Entry::new(&messages[3]).deduplicate(&once)];
    let answers = f.store().enqueue_batch(&mut tx, &again).await.unwrap();
    assert_eq!(answers, [Enqueued::Duplicate]);
    f.store().enqueue(&mut tx, &message("b", 0)).await.unwrap();
    f.database().commit(tx).await.unwrap();
    until_empty(f).await;
    assert_eq!(tape.ids_of("a"), ["a-0", "a-2"]);
    assert_eq!(tape.ids_of("b"), ["b-0"]);
    running.stop().await;
}

pub async fn an_oversize_message_is_refused_and_the_transaction_stays_usable<F: Fixture>(f: &F) {
    let mut oversize = message("a", 0);
    oversize.payload = Some(vec![0; 10_001].into());
    let good = message("b", 0);
    let mut tx = f.database().begin().await.unwrap();
    let entries = [Entry::new(&good), Entry::new(&oversize)];
    let refused = f.store().enqueue_batch(&mut tx, &entries).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { limit: 10_000, .. })),
        "{refused:?}"
    );
    let refused = f.store().enqueue(&mut tx, &oversize).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { .. })),
        "{refused:?}"
    );
    f.store().enqueue(&mut tx, &message("c", 0)).await.unwrap();
    f.database().commit(tx).await.unwrap();
    assert_eq!(
        f.rows().await,
        (1, 0),
        "only the message enqueued afterwards"
    );
}

#[derive(serde::Serialize, serde::Deserialize)]
struct OrderPlaced {
    id: String,
    cents: i64,
}

impl Event for OrderPlaced {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "OrderPlaced";
    const VERSION: u32 = 2;
    const UPCASTERS: &'static [Upcaster] = &[|v1| Ok(v1)];

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.id.as_str().into())
    }
}

pub async fn an_emitted_event_carries_topic_key_kind_version_and_source<F: Fixture>(f: &F) {
    let id = "order-17".to_owned();
    let mut tx = f.database().begin().await.unwrap();
    let event = OrderPlaced { id, cents: 4_200 };
    f.store().emit(&mut tx, &event).await.unwrap();
    f.database().commit(tx).await.unwrap();
    let tape = Tape::default();
    let running = Running::start(f.store(), &tape);
    until_empty(f).await;
    running.stop().await;
    let [message] = &*tape.stored() else {
        unreachable!("one event was emitted");
    };
    assert_eq!(message.topic.as_str(), "orders");
    assert_eq!(message.key.as_ref().unwrap().as_str(), "order-17");
    assert_eq!((message.kind.as_str(), message.version), ("OrderPlaced", 2));
    assert_eq!(message.source.as_str(), "/suite");
    assert!(message.occurred_at.is_some());
    let event: OrderPlaced = event::decode(message).unwrap();
    assert_eq!((&*event.id, event.cents), ("order-17", 4_200));
}

/// At any time, and with what a newer build has added to it.
pub async fn a_message_is_published_as_it_was_enqueued<F: Fixture>(f: &F) {
    let mut enqueued = Vec::new();
    for micros in [
        -62_167_219_200_000_000, // 0000-01-01T00:00:00Z
        253_402_300_799_999_999, // 9999-12-31T23:59:59.999999Z
        -1,
        i64::MIN,
        i64::MAX,
    ] {
        let number = enqueued.len();
        let newer = format!(
            r#"{{"id":"a-{number}","source":"/suite","kind":"Counted","version":7,"subject":"\u0000é",
            "headers":[["a","\u0000"],["a","ff00","hex"]],"occurred_at":{micros},
            "budget":25000000000000000001,"ratio":1e400,"more":{{ "x":[1.0, -0] }}}}"#
        );
        let template = message("a", number);
        let (topic, key, payload) = (template.topic, template.key, template.payload);
        enqueued.push(envelope::read(&newer, topic, key, payload).unwrap());
    }
    commit(f, &enqueued).await;
    let tape = Tape::default();
    let running = Running::start(f.store(), &tape);
    until_empty(f).await;
    running.stop().await;
    assert_eq!(tape.stored(), enqueued);
    let text = envelope::write(&tape.stored()[0]);
    let unknown = r#","budget":25000000000000000001,"ratio":1e400,"more":{ "x":[1.0, -0] }}"#;
    assert!(text.ends_with(unknown), "{text}");
}
