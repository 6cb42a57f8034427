//! The cases.

use std::{collections::HashSet, sync::Arc, time::Duration};

use mainstay_database::Transactions as _;
use mainstay_messaging::Message;

use super::{Fixture, PATIENCE, Running, Tape, commit, ids, message, until, until_empty};
use crate::{
    EnqueueKey, Enqueued, Entry, Error, Limit, Outbox as _, Outcome, RelayStore as _, shard_of,
    status::Activity,
};

const LEASE: Duration = Duration::from_secs(60);
const ALL: Limit = Limit {
    messages: 1_000,
    bytes: usize::MAX,
};

pub async fn a_message_is_published_if_and_only_if_its_transaction_committed<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
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
    let tape = Arc::new(Tape::default());
    let running = Running::start(f.store(), &tape);
    let mut sent = Vec::new();
    for number in 0..30 {
        let messages: Vec<_> = (0..10).map(|k| message(&format!("k{k}"), number)).collect();
        commit(f, &messages).await;
        f.store().ring();
        sent.extend(messages);
    }
    until_empty(f).await;
    running.stop().await;
    let mut stored = tape.stored();
    assert_eq!(
        stored.len(),
        300,
        "something was published twice or not at all"
    );
    let by_id = |a: &Message, b: &Message| a.id.cmp(&b.id);
    stored.sort_by(by_id);
    sent.sort_by(by_id);
    assert_eq!(stored, sent, "a message changed on its way");
}

pub async fn messages_of_a_key_keep_the_order_of_their_enqueues<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let running = Running::start_as(f.store(), &tape, |relay| relay.batch(7, 1_000_000));
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
    let tape = Arc::new(Tape::default());
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

pub async fn a_former_owner_writes_nothing<F: Fixture>(f: &F) {
    let store = f.store();
    let old = store.lease("old", Duration::ZERO).await.unwrap();
    assert_eq!(old.len(), 4);
    commit(f, &[message("a", 0)]).await;
    let fetched = store.fetch(&old, ALL).await.unwrap();
    let new = store.lease("new", LEASE).await.unwrap();
    assert_eq!(new.len(), 4, "the lease of the old owner has ended");
    for (old, new) in old.iter().zip(&new) {
        assert!(old.fence < new.fence, "{old:?} {new:?}");
    }
    let acknowledged = Outcome {
        acknowledged: vec![fetched.rows[0].place],
        ..Outcome::default()
    };
    let refused = store.record(&old, &acknowledged).await;
    assert!(matches!(refused, Err(Error::Fenced)), "{refused:?}");
    assert_eq!(f.rows().await, (1, 0), "a former owner removed a row");
    store.record(&new, &acknowledged).await.unwrap();
    assert_eq!(f.rows().await, (0, 0));
}

pub async fn an_owner_never_sends_again_what_it_recorded<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let running = Running::start_as(f.store(), &tape, |relay| relay.batch(5, 1_000_000));
    let messages: Vec<_> = (0..50)
        .map(|n| message(&format!("k{}", n % 7), n))
        .collect();
    commit(f, &messages).await;
    until_empty(f).await;
    // Renewals of the lease and slow polls pass.
    let calls = tape.calls();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(tape.calls(), calls);
    let ids = tape.ids();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    running.stop().await;
}

pub async fn a_dead_relay_is_replaced_when_its_lease_ends<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let dead = Running::start(f.store(), &tape);
    commit(f, &[message("a", 0)]).await;
    until_empty(f).await;
    // Killed between the broker's acknowledgement and its own record of it.
    tape.hold(true);
    let calls = tape.calls();
    commit(f, &[message("a", 1)]).await;
    until("a send is in flight", async || tape.calls() > calls).await;
    dead.crash().await;
    tape.hold(false);
    let successor = Running::start(f.other_process().await, &tape);
    commit(f, &[message("a", 2)]).await;
    until_empty(f).await;
    assert_eq!(tape.ids(), ids("a", 0..3));
    successor.stop().await;
}

pub async fn shards_are_divided_among_relays_and_given_up_at_shutdown<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let slow = |relay: crate::Relay<F::Store, Tape>| relay.lease(Duration::from_secs(1));
    let first = Running::start_as(f.store(), &tape, slow);
    until("the first has all", async || {
        first.relay.status().shards == 4
    })
    .await;
    let second = Running::start_as(f.other_process().await, &tape, slow);
    until("both have two", async || {
        (first.relay.status().shards, second.relay.status().shards) == (2, 2)
    })
    .await;
    for number in 0..20 {
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        commit(f, &keys.map(|key| message(key, number))).await;
    }
    until_empty(f).await;
    assert_eq!(tape.ids().len(), 160, "two relays published one row");
    assert!(first.relay.status().published > 0 && second.relay.status().published > 0);
    first.stop().await;
    until("the second has all", async || {
        second.relay.status().shards == 4
    })
    .await;
    second.stop().await;
    // Nobody has to wait for the lease of a relay that ended well.
    let holds = f.store().lease("third", LEASE).await.unwrap();
    assert_eq!(holds.len(), 4);
}

pub async fn a_refused_message_stops_its_key_and_no_other<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.refuse("a-1");
    let running = Running::start(f.store(), &tape);
    for number in 0..5 {
        commit(f, &[message("a", number), message("b", number)]).await;
    }
    until("all of b came through", async || {
        tape.ids_of("b") == ids("b", 0..5) && f.rows().await.0 == 0
    })
    .await;
    until("it is tried again", async || tape.refusals() > 2).await;
    // What comes later waits behind it.
    commit(f, &[message("a", 5), message("b", 5)]).await;
    until("b flows", async || tape.ids_of("b") == ids("b", 0..6)).await;
    until("a waits in the side table", async || {
        f.rows().await == (0, 5)
    })
    .await;
    assert_eq!(tape.ids_of("a"), ["a-0"]);
    running.stop().await;
}

pub async fn a_stopped_key_goes_on_in_order_when_its_head_is_taken<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.refuse("a-0");
    tape.refuse("a-3");
    let running = Running::start(f.store(), &tape);
    for number in 0..6 {
        commit(f, &[message("a", number)]).await;
    }
    until("six rows wait", async || f.rows().await == (0, 6)).await;
    tape.accept();
    tape.refuse("a-3");
    until("it stops at the next refusal", async || {
        tape.ids() == ids("a", 0..3) && f.rows().await == (0, 3)
    })
    .await;
    commit(f, &[message("a", 6)]).await;
    tape.accept();
    until_empty(f).await;
    commit(f, &[message("a", 7)]).await;
    until_empty(f).await;
    assert_eq!(tape.ids(), ids("a", 0..8));
    running.stop().await;
}

pub async fn an_unreadable_row_stops_its_key_and_is_kept<F: Fixture>(f: &F) {
    commit(
        f,
        &[
            message("a", 0),
            message("a", 1),
            message("a", 2),
            message("b", 0),
        ],
    )
    .await;
    f.damage("a-1").await;
    let tape = Arc::new(Tape::default());
    let running = Running::start(f.store(), &tape);
    until("the others flow", async || {
        tape.ids_of("b").len() == 1 && f.rows().await == (0, 2)
    })
    .await;
    until("status tells", async || {
        running.relay.status().stopped_keys == 1
    })
    .await;
    assert_eq!(tape.ids_of("a"), ["a-0"]);
    running.stop().await;
}

pub async fn an_outage_burns_no_attempts_and_the_backlog_drains_in_order<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.go_away(true);
    let running = Running::start(f.store(), &tape);
    for number in 0..30 {
        commit(f, &[message("a", number), message("b", number)]).await;
    }
    until("it was tried often", async || tape.calls() > 12).await;
    assert_eq!(f.rows().await, (60, 0), "an outage moves nothing aside");
    let status = running.relay.status();
    assert_eq!(status.activity, Activity::Waiting);
    assert!(status.trouble.unwrap().contains("the tape is away"));
    tape.go_away(false);
    until_empty(f).await;
    assert_eq!(
        (tape.ids_of("a"), tape.ids_of("b")),
        (ids("a", 0..30), ids("b", 0..30))
    );
    until("it is well again", async || {
        running.relay.status().is_healthy()
    })
    .await;
    running.stop().await;
}

pub async fn a_lost_acknowledgement_is_sent_again_and_loses_no_order<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.lose_answers(2);
    let running = Running::start(f.store(), &tape);
    for number in 0..5 {
        commit(f, &[message("a", number)]).await;
    }
    until_empty(f).await;
    running.stop().await;
    let mut seen = HashSet::new();
    let firsts: Vec<_> = tape
        .ids()
        .into_iter()
        .filter(|id| seen.insert(id.clone()))
        .collect();
    assert_eq!(firsts, ids("a", 0..5), "first deliveries out of order");
    assert!(tape.ids().len() > 5, "nothing was sent again");
}

pub async fn a_send_never_outlives_its_lease<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.hold(true);
    let running = Running::start_as(f.store(), &tape, |relay| {
        relay
            .lease(Duration::from_millis(300))
            .send_timeout(PATIENCE)
    });
    commit(f, &[message("a", 0)]).await;
    // The first send hangs; only its end by the lease lets a second one begin.
    until("the send was given up", async || tape.calls() > 1).await;
    tape.hold(false);
    until_empty(f).await;
    running.stop().await;
}

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

pub async fn a_delayed_message_of_a_stopped_key_joins_its_end<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.refuse("a-0");
    let delayed = message("a", 9);
    let mut tx = f.database().begin().await.unwrap();
    let entries = [Entry::new(&delayed).deliver_after(Duration::from_millis(100))];
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
    tokio::time::sleep(Duration::from_millis(100)).await;
    until("it is tried again after the delay", async || {
        tape.refusals() > refusals + 2
    })
    .await;
    tape.accept();
    until_empty(f).await;
    assert_eq!(tape.ids(), ["a-0", "a-1", "a-9"]);
    running.stop().await;
}

pub async fn an_enqueue_key_is_used_once_and_aborts_nothing<F: Fixture>(f: &F) {
    let (once, other) = (EnqueueKey::new("once"), EnqueueKey::new("other"));
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

pub async fn a_ring_is_heard_at_once<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    let deaf =
        |relay: crate::Relay<F::Store, Tape>| relay.slow_poll(PATIENCE * 10).lease(PATIENCE * 30);
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
    let deaf =
        |relay: crate::Relay<F::Store, Tape>| relay.slow_poll(PATIENCE * 10).lease(PATIENCE * 30);
    let running = Running::start_as(f.store(), &tape, deaf);
    until("it runs", async || running.relay.status().shards == 4).await;
    let mut tx = f.database().begin().await.unwrap();
    f.store().enqueue(&mut tx, &message("a", 0)).await.unwrap();
    // The transaction stays open while the relay climbs its ladder.
    tokio::time::sleep(Duration::from_millis(120)).await;
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
    until("a stopped key is told", async || {
        let status = running.relay.status();
        status.stopped_keys == 1 && status.published == 1 && !status.is_healthy()
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
