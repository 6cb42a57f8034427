//! Ownership: leases and fencing tokens.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    ALL, Fixture, LEASE, Running, Tape, commit, counted::Counted, ids, message, until, until_empty,
};
use crate::{
    Error,
    store::{Outcome, RelayStore as _},
};

pub async fn a_former_owner_records_nothing<F: Fixture>(f: &F) {
    let store = f.store();
    let old = store.lease("old", Duration::ZERO).await.unwrap();
    assert_eq!(old.len(), 4);
    commit(f, &[message("a", 0)]).await;
    let fetched = store.fetch(&old, ALL, &[]).await.unwrap();
    let new = store.lease("new", LEASE).await.unwrap();
    assert_eq!(new.len(), 4, "the lease of the old owner has ended");
    for (old, new) in old.iter().zip(&new) {
        assert!(old.fence < new.fence, "{old:?} {new:?}");
    }
    let acknowledged = Outcome {
        acknowledged: vec![fetched.rows[0].row_ref],
        ..Outcome::default()
    };
    let refused = store.record(&old, &acknowledged).await;
    assert!(matches!(refused, Err(Error::Fenced)), "{refused:?}");
    assert_eq!(f.rows().await, (1, 0), "a former owner removed a row");
    store.record(&new, &acknowledged).await.unwrap();
    assert_eq!(f.rows().await, (0, 0));
}

pub async fn an_owner_never_publishes_again_what_it_recorded<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let store = Counted::new(f.store());
    let running = Running::start_as(Arc::clone(&store), &tape, |relay| {
        relay.batch_size(5).batch_bytes(1_000_000)
    });
    let messages: Vec<_> = (0..50)
        .map(|n| message(&format!("k{}", n % 7), n))
        .collect();
    commit(f, &messages).await;
    until_empty(f).await;
    let (calls, leases, looks) = (tape.calls(), store.leases(), store.looks());
    until("it renews its lease and polls", async || {
        store.leases() >= leases + 3 && store.looks() >= looks + 10
    })
    .await;
    assert_eq!(tape.calls(), calls);
    let ids = tape.ids();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    running.stop().await;
}

pub async fn a_dead_relay_is_replaced_when_its_lease_ends<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let dead = Running::start(f.store(), &tape);
    commit(f, &[message("a", 0)]).await;
    until_empty(f).await;
    // It is killed after the broker stored the message and before it records that.
    tape.hold(true);
    let calls = tape.calls();
    commit(f, &[message("a", 1)]).await;
    until("a publish call is in flight", async || tape.calls() > calls).await;
    dead.crash().await;
    tape.hold(false);
    let successor = Running::start(f.other_process().await, &tape);
    commit(f, &[message("a", 2)]).await;
    until_empty(f).await;
    assert_eq!(tape.ids(), ids("a", 0..3));
    successor.stop().await;
}

pub async fn shards_are_divided_among_relays_and_given_up_at_shutdown<F: Fixture>(f: &F) {
    let tape = Tape::default();
    let slow = |relay: crate::Relay<F::Store, Tape>| relay.lease(Duration::from_secs(5));
    let first = Running::start_as(f.store(), &tape, slow);
    until("the first owns all", async || {
        first.relay.status().shards == 4
    })
    .await;
    let second = Running::start_as(f.other_process().await, &tape, slow);
    until("each owns two", async || {
        (first.relay.status().shards, second.relay.status().shards) == (2, 2)
    })
    .await;
    for number in 0..20 {
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        commit(f, &keys.map(|key| message(key, number))).await;
    }
    until_empty(f).await;
    assert_eq!(tape.ids().len(), 160, "two relays published the same row");
    assert!(first.relay.status().published > 0 && second.relay.status().published > 0);
    first.stop().await;
    until("the second owns all", async || {
        second.relay.status().shards == 4
    })
    .await;
    second.stop().await;
    // After a shutdown, others need not wait for the lease to end.
    let leases = f.store().lease("third", LEASE).await.unwrap();
    assert_eq!(leases.len(), 4);
}
