//! What an entry can ask for.

use std::sync::Arc;
use std::time::Duration;

use mainstay_database::Transactions as _;

use super::{ALL, Fixture, LEASE, Running, Tape, commit, message, until, until_empty};
use crate::{DeduplicationKey, Enqueued, Entry, Error, Outbox as _, RelayStore as _};

pub async fn a_delayed_message_waits_and_stops_nobody<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let (delayed, never) = (message("a", 0), message("b", 0));
    let mut tx = f.database().begin().await.unwrap();
    let entries = [
        Entry::new(&delayed).deliver_after(Duration::from_millis(300)),
        Entry::new(&never).deliver_after(Duration::from_secs(100_000)),
    ];
    let answers = f.store().enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, [Enqueued::Added; 2]);
    f.store().enqueue(&mut tx, &message("a", 1)).await.unwrap();
    f.database().commit(tx).await.unwrap();
    let running = Running::start(f.store(), &tape);
    until("the delayed one fell due", async || {
        tape.ids() == ["a-1", "a-0"]
    })
    .await;
    until("the other one stays", async || f.rows().await == (0, 1)).await;
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
    let holds = store.lease("relay", LEASE).await.unwrap();
    let fetched = store.fetch(&holds, ALL).await.unwrap();
    assert_eq!((fetched.rows.len(), f.rows().await), (0, (0, 1)));
    assert!(fetched.next_due > Some(LEASE * 1_000_000));
}

pub async fn a_delayed_message_of_a_stopped_key_joins_its_end<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.refuse("a-0");
    let delayed = message("a", 9);
    let mut tx = f.database().begin().await.unwrap();
    let entries = [Entry::new(&delayed).deliver_after(Duration::from_secs(1))];
    let answers = f.store().enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, [Enqueued::Added]);
    f.database().commit(tx).await.unwrap();
    let running = Running::start(f.store(), &tape);
    commit(f, &[message("a", 0), message("a", 1)]).await;
    until("two wait beside the delayed one", async || {
        f.rows().await == (0, 3)
    })
    .await;
    let refusals = tape.refusals();
    // By the store's own clock the delayed one falls due, of which nothing can be seen from outside.
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

pub async fn an_deduplication_key_is_used_once_and_aborts_nothing<F: Fixture>(f: &F) {
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
        Entry::new(&messages[0]).once(&once),
        Entry::new(&messages[1]).once(&once),
        Entry::new(&messages[2]).once(&other),
    ];
    let answers = f.store().enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(
        answers,
        [Enqueued::Added, Enqueued::AlreadyThere, Enqueued::Added]
    );
    f.database().commit(tx).await.unwrap();
    let tape = Arc::new(Tape::default());
    let running = Running::start(f.store(), &tape);
    until_empty(f).await;
    // Also when the first one was published long ago.
    let mut tx = f.database().begin().await.unwrap();
    let again = [Entry::new(&messages[3]).once(&once)];
    let answers = f.store().enqueue_batch(&mut tx, &again).await.unwrap();
    assert_eq!(answers, [Enqueued::AlreadyThere]);
    f.store().enqueue(&mut tx, &message("b", 0)).await.unwrap();
    f.database().commit(tx).await.unwrap();
    until_empty(f).await;
    assert_eq!(tape.ids_of("a"), ["a-0", "a-2"]);
    assert_eq!(tape.ids_of("b"), ["b-0"]);
    running.stop().await;
}

pub async fn an_oversize_message_is_refused_in_its_transaction<F: Fixture>(f: &F) {
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
    assert_eq!(f.rows().await, (1, 0), "only what was enqueued afterwards");
}
