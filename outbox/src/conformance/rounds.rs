//! When a relay looks for rows, how many it takes, how it ends, and what it shows.

use std::sync::Arc;

use mainstay_database::Transactions as _;

use super::{
    ALL, Fixture, PATIENCE, Running, Tape, commit, counted::Counted, ids, message, until,
    until_empty,
};
use crate::{
    Activity, Error, Outbox as _, Relay,
    notifier::EarlyPolls,
    store::{Limit, RelayStore, RowRef, shard_of},
};

/// With settings that leave only notifications to find rows in time.
fn without_polls<S: RelayStore>(relay: Relay<S, Tape>) -> Relay<S, Tape> {
    relay.poll_interval(PATIENCE * 10).lease(PATIENCE * 30)
}

/// Whether `waking` ends the wait of a relay whose early polls are over. A store without a notifier has
/// nothing to show.
async fn wakes<S: RelayStore>(store: &S, waking: impl AsyncFnOnce()) -> bool {
    let Some(notifier) = store.notifier() else {
        return true;
    };
    let mut early = EarlyPolls::new();
    early.before_looking(notifier);
    early.found();
    let waiting = async {
        tokio::join!(early.wait(notifier, PATIENCE * 10), waking());
    };
    tokio::time::timeout(PATIENCE, waiting).await.is_ok()
}

pub async fn a_commit_through_the_database_wakes_the_relay_at_once<F: Fixture>(f: &F) {
    let (store, database) = (f.store(), f.database());
    for number in 0..3 {
        let mut tx = database.begin().await.unwrap();
        let message = message("a", number);
        let enqueue = async || store.enqueue(&mut tx, &message).await.unwrap();
        assert!(
            wakes(&store, enqueue).await,
            "the enqueue starts early polls"
        );
        let commit = async || database.commit(tx).await.unwrap();
        assert!(wakes(&store, commit).await, "the commit did not wake it");
    }
    let tape = Tape::default();
    let running = Running::start_as(f.store(), &tape, without_polls);
    until_empty(f).await;
    running.stop().await;
}

pub async fn a_notification_wakes_the_relay_at_once<F: Fixture>(f: &F) {
    let (store, foreign) = (f.store(), f.foreign_database().await);
    for number in 0..3 {
        let mut tx = foreign.begin().await.unwrap();
        let message = message("a", number);
        let enqueue = async || store.enqueue(&mut tx, &message).await.unwrap();
        assert!(
            wakes(&store, enqueue).await,
            "the enqueue starts early polls"
        );
        foreign.commit(tx).await.unwrap();
        let notify = async || store.notify();
        assert!(
            wakes(&store, notify).await,
            "the notification did not wake it"
        );
    }
    let tape = Tape::default();
    let running = Running::start_as(f.store(), &tape, without_polls);
    until_empty(f).await;
    running.stop().await;
}

pub async fn a_foreign_commit_is_found_by_early_polls<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let store = Counted::new(f.store());
    let running = Running::start_as(Arc::clone(&store), &tape, without_polls);
    until("it runs", async || running.relay.status().shards == 4).await;
    let foreign = f.foreign_database().await;
    let mut tx = foreign.begin().await.unwrap();
    f.store().enqueue(&mut tx, &message("a", 0)).await.unwrap();
    // The transaction stays open while the relay polls.
    let looks = store.looks();
    until("it looks in vain", async || store.looks() >= looks + 6).await;
    foreign.commit(tx).await.unwrap();
    until_empty(f).await;
    running.stop().await;
}

pub async fn rows_of_another_process_are_found_at_the_poll_interval<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let running = Running::start(f.other_process().await, &tape);
    until("it runs", async || running.relay.status().shards == 4).await;
    commit(f, &[message("a", 0)]).await;
    until_empty(f).await;
    running.stop().await;
}

pub async fn run_until_finishes_the_round_in_flight<F: Fixture>(f: &F) {
    let tape = Tape::default();
    tape.hold(true);
    let running = Running::start(f.store(), &tape);
    commit(f, &[message("a", 0)]).await;
    until("a publish call is in flight", async || tape.calls() == 1).await;
    running.shutdown.cancel();
    tape.hold(false);
    running.stop().await;
    assert_eq!(tape.ids(), ["a-0"]);
    assert_eq!(f.rows().await, (0, 0), "it was published and not recorded");
}

pub async fn a_spawned_relay_shows_its_status_and_shuts_down<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let relay = Relay::new(f.store(), tape.clone()).spawn();
    commit(f, &[message("a", 0)]).await;
    until("the status shows it", async || {
        let status = relay.status();
        status.published == 1 && status.activity == Activity::Publishing
    })
    .await;
    tape.hold(true);
    commit(f, &[message("a", 1)]).await;
    until("a publish call is in flight", async || tape.calls() == 2).await;
    let (ended, ()) = tokio::join!(relay.shutdown(), async { tape.hold(false) });
    ended.unwrap();
    assert_eq!(relay.status().activity, Activity::Stopped);
    assert_eq!((tape.ids().len(), f.rows().await), (2, (0, 0)));
    // Every clone may ask again, and other relays need not wait for its lease.
    relay.clone().shutdown().await.unwrap();
    let leases = f.store().lease("another", PATIENCE).await.unwrap();
    assert_eq!(leases.len(), 4);
}

pub async fn a_fetch_says_whether_its_limit_left_rows_out<F: Fixture>(f: &F) {
    let messages: Vec<_> = (0..3).map(|number| message("a", number)).collect();
    commit(f, &messages).await;
    let leases = f.store().lease("relay", PATIENCE).await.unwrap();
    let few = Limit { messages: 2, ..ALL };
    let small = Limit { bytes: 1, ..ALL };
    for (limit, rows, more) in [(few, 2, true), (small, 1, true), (ALL, 3, false)] {
        let fetched = f.store().fetch(&leases, limit, &[]).await.unwrap();
        assert_eq!(
            (fetched.rows.len(), fetched.more),
            (rows, more),
            "{limit:?}"
        );
    }
}

pub async fn a_fetch_leaves_out_what_is_in_flight<F: Fixture>(f: &F) {
    let messages: Vec<_> = (0..6).map(|number| message("a", number)).collect();
    commit(f, &messages).await;
    let (store, few) = (f.store(), Limit { messages: 2, ..ALL });
    let leases = store.lease("relay", PATIENCE).await.unwrap();
    let all = store.fetch(&leases, ALL, &[]).await.unwrap().rows;
    let row_refs: Vec<_> = all.iter().map(|row| row.row_ref).collect();
    // They take nothing of the limit, and a row between two of them is found.
    for (in_flight, found) in [
        (vec![0, 1], vec![2, 3]),
        (vec![0, 2, 3], vec![1, 4]),
        (vec![0, 1, 2, 3, 4], vec![5]),
    ] {
        let in_flight: Vec<_> = in_flight.iter().map(|at| row_refs[*at]).collect();
        let fetched = store.fetch(&leases, few, &in_flight).await.unwrap();
        let found: Vec<_> = found.iter().map(|at| row_refs[*at]).collect();
        let fetched_refs: Vec<_> = fetched.rows.iter().map(|row| row.row_ref).collect();
        assert_eq!(
            (fetched_refs, fetched.more),
            (found.clone(), found.len() == 2)
        );
    }
}

pub async fn a_fetch_takes_no_deferred_row_in_flight_for_one_of_the_log<F: Fixture>(f: &F) {
    commit(f, &[message("a", 0), message("a", 1)]).await;
    let store = f.store();
    let leases = store.lease("relay", PATIENCE).await.unwrap();
    let all = store.fetch(&leases, ALL, &[]).await.unwrap().rows;
    // The deferred table has positions of its own, so they may be the same.
    let deferred: Vec<_> = all
        .iter()
        .flat_map(|row| match row.row_ref {
            RowRef::Log(number) => vec![RowRef::Delayed(number), RowRef::Blocked(number)],
            RowRef::Delayed(_) | RowRef::Blocked(_) => Vec::new(),
        })
        .collect();
    assert_eq!(deferred.len(), 4);
    let fetched = store.fetch(&leases, ALL, &deferred).await.unwrap();
    assert_eq!(fetched.rows.len(), 2);
}

/// Batches of two.
fn in_pairs<S: RelayStore>(relay: Relay<S, Tape>) -> Relay<S, Tape> {
    without_polls(relay).batch_size(2).batch_bytes(1_000_000)
}

pub async fn a_relay_reads_on_while_a_batch_is_published<F: Fixture>(f: &F) {
    let messages: Vec<_> = (0..6).map(|number| message("a", number)).collect();
    commit(f, &messages).await;
    let tape = Tape::default();
    tape.hold(true);
    let store = Counted::new(f.store());
    let running = Running::start_as(Arc::clone(&store), &tape, in_pairs);
    until("it has read twice", async || store.looks() == 2).await;
    assert_eq!(tape.calls(), 1, "the first batch is in flight");
    tape.hold(false);
    until_empty(f).await;
    running.stop().await;
    assert_eq!(tape.ids(), ids("a", 0..6));
    assert_eq!(tape.batches(), [2, 2, 2]);
}

pub async fn a_notified_relay_reads_ahead_if_it_is_notified_again<F: Fixture>(f: &F) {
    let (tape, store) = (Tape::default(), Counted::new(f.store()));
    let Some(notifier) = store.notifier() else {
        return;
    };
    // Without early polls: it has not enqueued them.
    let (other, foreign) = (f.other_process().await, f.foreign_database().await);
    let commit = async |number| {
        let mut tx = foreign.begin().await.unwrap();
        other.enqueue(&mut tx, &message("a", number)).await.unwrap();
        foreign.commit(tx).await.unwrap();
        notifier.notify();
    };
    let running = Running::start_as(Arc::clone(&store), &tape, without_polls);
    until("it has found nothing", async || store.looks() == 1).await;
    let published = async |count| {
        let shown = || running.relay.status().published;
        until("the messages are deleted", async || shown() == count).await;
    };
    commit(0).await;
    published(1).await;
    assert_eq!(store.reads_ahead(), 0, "there was no news");
    tape.hold(true);
    commit(1).await;
    until("a publish call is in flight", async || tape.calls() == 2).await;
    commit(2).await;
    tape.hold(false);
    published(3).await;
    assert!(store.reads_ahead() > 0, "there was news");
    running.stop().await;
}

pub async fn what_was_read_behind_a_refused_message_is_read_again<F: Fixture>(f: &F) {
    let messages: Vec<_> = (0..6).map(|number| message("a", number)).collect();
    commit(f, &messages).await;
    let tape = Tape::default();
    tape.refuse("a-1");
    let store = Counted::new(f.store());
    let running = Running::start_as(Arc::clone(&store), &tape, in_pairs);
    until("it is refused again", async || tape.refusals() > 1).await;
    assert_eq!(tape.ids(), ids("a", 0..1));
    tape.accept();
    until_empty(f).await;
    running.stop().await;
    assert_eq!(tape.ids(), ids("a", 0..6));
}

pub async fn what_was_read_behind_an_unknown_answer_is_read_again<F: Fixture>(f: &F) {
    let messages: Vec<_> = (0..6).map(|number| message("a", number)).collect();
    commit(f, &messages).await;
    let tape = Tape::default();
    tape.go_away(true);
    let store = Counted::new(f.store());
    let running = Running::start_as(Arc::clone(&store), &tape, in_pairs);
    until("several attempts failed", async || tape.calls() > 2).await;
    assert_eq!(f.rows().await, (6, 0));
    tape.go_away(false);
    until_empty(f).await;
    running.stop().await;
    assert_eq!(tape.ids(), ids("a", 0..6));
}

pub async fn a_read_ahead_that_hangs_holds_back_no_shutdown<F: Fixture>(f: &F) {
    let messages: Vec<_> = (0..6).map(|number| message("a", number)).collect();
    commit(f, &messages).await;
    let (tape, store) = (Tape::default(), Counted::new(f.store()));
    store.hang_ahead();
    let running = Running::start_as(Arc::clone(&store), &tape, in_pairs);
    until("a batch is deleted", async || f.rows().await == (4, 0)).await;
    assert_eq!(store.looks(), 2, "the second one hangs");
    running.stop().await;
    assert_eq!(tape.ids(), ids("a", 0..2));
}

pub async fn a_read_ahead_that_hangs_holds_back_no_refused_message<F: Fixture>(f: &F) {
    let messages: Vec<_> = (0..6).map(|number| message("a", number)).collect();
    commit(f, &messages).await;
    let (tape, store) = (Tape::default(), Counted::new(f.store()));
    tape.refuse("a-0");
    store.hang_ahead();
    let running = Running::start_as(Arc::clone(&store), &tape, in_pairs);
    until("it is refused again", async || tape.refusals() > 1).await;
    running.stop().await;
    assert_eq!(tape.ids(), ids("a", 0..0));
}

pub async fn a_batch_is_bounded_in_messages_and_in_bytes<F: Fixture>(f: &F) {
    let large = |number| {
        let mut message = message("a", number);
        message.payload = Some(vec![0; 5_000].into());
        message
    };
    commit(f, &[large(0), large(1), large(2)]).await;
    let tape = Tape::default();
    let running = Running::start_as(f.store(), &tape, |relay| {
        relay.batch_size(100).batch_bytes(4_000)
    });
    until_empty(f).await;
    assert_eq!(
        tape.batches(),
        [1, 1, 1],
        "a message larger than the limit goes alone"
    );
    running.stop().await;
    let small: Vec<_> = (3..13).map(|n| message("a", n)).collect();
    commit(f, &small).await;
    let running = Running::start_as(f.store(), &tape, |relay| {
        relay.batch_size(4).batch_bytes(1_000_000)
    });
    until_empty(f).await;
    assert_eq!(tape.batches()[3..], [4, 4, 2]);
    running.stop().await;
}

pub async fn another_number_of_shards_is_refused<F: Fixture>(f: &F) {
    let refused = f.open_with_five_shards().await;
    assert!(
        matches!(
            refused,
            Err(Error::LayoutMismatch {
                stored: 4,
                configured: 5,
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(!refused.unwrap_err().is_retryable());
    // The shard follows from the hash, so that all processes agree.
    assert_eq!(shard_of(&message("a", 0), 4), shard_of(&message("a", 1), 4));
}

pub async fn status_shows_blocked_keys<F: Fixture>(f: &F) {
    let tape = Tape::default();
    tape.refuse("a-0");
    let running = Running::start(f.store(), &tape);
    commit(f, &[message("a", 0), message("a", 1), message("b", 0)]).await;
    until("the status shows a blocked key", async || {
        let status = running.relay.status();
        status.blocked_keys == 1 && status.published == 1 && !status.is_healthy()
    })
    .await;
    let relay = running.relay.clone();
    tape.accept();
    until("the status shows none", async || {
        relay.status().is_healthy()
    })
    .await;
    running.stop().await;
    assert_eq!(relay.status().activity, Activity::Stopped);
}
