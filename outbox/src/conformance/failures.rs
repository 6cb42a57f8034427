//! What a refusal, damage, an outage and a lost answer do.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{
    ALL, Fixture, LEASE, PATIENCE, Running, Tape, commit, ids, message, until, until_empty,
};
use crate::{Outcome, RelayStore as _, Row, Stop, status::Activity};

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
    until("a waits in the deferred table", async || {
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

pub async fn two_refusals_of_a_key_in_one_round_keep_its_order<F: Fixture>(f: &F) {
    let tape = Arc::new(Tape::default());
    tape.look_at_each_for_itself();
    tape.refuse("a-1");
    tape.refuse("a-3");
    let numbers = 0..6;
    let messages: Vec<_> = numbers.clone().map(|n| message("a", n)).collect();
    commit(f, &messages).await;
    let running = Running::start(f.store(), &tape);
    until("five rows wait", async || f.rows().await == (0, 5)).await;
    until("their head is tried again", async || tape.calls() > 2).await;
    assert_eq!(tape.ids(), ids("a", 0..1));
    tape.accept();
    until_empty(f).await;
    assert_eq!(tape.ids(), ids("a", numbers));
    running.stop().await;
}

pub async fn a_stopped_key_is_served_when_its_head_is_due<F: Fixture>(f: &F) {
    let store = f.store();
    let holds = store.lease("relay", LEASE).await.unwrap();
    commit(f, &[message("a", 0), message("a", 1), message("a", 2)]).await;
    let fetch = async || store.fetch(&holds, ALL).await.unwrap().rows;
    let stop = |row: &Row, retry_after| Stop {
        place: row.place,
        attempts: 1,
        retry_after,
        reason: "a test".to_owned(),
    };
    let (at_once, never) = (Duration::ZERO, Duration::MAX);
    let rows = fetch().await;
    let outcome = Outcome {
        stopped: vec![stop(&rows[0], at_once), stop(&rows[1], never)],
        following: vec![rows[2].place],
        ..Outcome::default()
    };
    store.record(&holds, &outcome).await.unwrap();
    // Also the one that was stopped for itself: were it left out, the last one would overtake it.
    let rows = fetch().await;
    assert_eq!(rows.len(), 3);
    let outcome = Outcome {
        stopped: vec![stop(&rows[0], never)],
        ..Outcome::default()
    };
    store.record(&holds, &outcome).await.unwrap();
    assert_eq!(fetch().await.len(), 0);
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
        running.relay.status().blocked_keys == 1
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
    assert!(status.last_error.unwrap().contains("the tape is away"));
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
