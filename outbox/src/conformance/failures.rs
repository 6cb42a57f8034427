//! Refusals, damage, outages and lost answers.

use std::{collections::HashSet, time::Duration};

use super::{
    ALL, Fixture, LEASE, PATIENCE, Running, Tape, commit, ids, message, until, until_empty,
};
use crate::{
    Activity,
    store::{Content, Limit, Outcome, Refusal, RelayStore as _, Row},
};

pub async fn a_refused_message_blocks_its_key_and_no_other<F: Fixture>(f: &F) {
    let tape = Tape::default();
    tape.refuse("a-1");
    let running = Running::start(f.store(), &tape);
    for number in 0..5 {
        commit(f, &[message("a", number), message("b", number)]).await;
    }
    until("all messages of b are published", async || {
        tape.ids_of("b") == ids("b", 0..5) && f.rows().await.0 == 0
    })
    .await;
    until("the refused one is tried again", async || {
        tape.refusals() > 2
    })
    .await;
    // Later messages of the key are held behind it.
    commit(f, &[message("a", 5), message("b", 5)]).await;
    until("b is published", async || {
        tape.ids_of("b") == ids("b", 0..6)
    })
    .await;
    until("a is in the deferred table", async || {
        f.rows().await == (0, 5)
    })
    .await;
    assert_eq!(tape.ids_of("a"), ["a-0"]);
    running.stop().await;
}

pub async fn a_blocked_key_goes_on_in_order_once_its_head_is_accepted<F: Fixture>(f: &F) {
    let tape = Tape::default();
    tape.refuse("a-0");
    tape.refuse("a-3");
    let running = Running::start(f.store(), &tape);
    for number in 0..6 {
        commit(f, &[message("a", number)]).await;
    }
    until("six rows are deferred", async || f.rows().await == (0, 6)).await;
    tape.accept();
    tape.refuse("a-3");
    until("the next refusal blocks it", async || {
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
    let tape = Tape::default();
    tape.judge_each_by_itself();
    tape.refuse("a-1");
    tape.refuse("a-3");
    let numbers = 0..6;
    let messages: Vec<_> = numbers.clone().map(|n| message("a", n)).collect();
    commit(f, &messages).await;
    let running = Running::start(f.store(), &tape);
    until("five rows are deferred", async || f.rows().await == (0, 5)).await;
    until("the head is tried again", async || tape.calls() > 2).await;
    assert_eq!(tape.ids(), ids("a", 0..1));
    tape.accept();
    until_empty(f).await;
    assert_eq!(tape.ids(), ids("a", numbers));
    running.stop().await;
}

pub async fn all_rows_of_a_blocked_key_are_due_when_its_head_is<F: Fixture>(f: &F) {
    let store = f.store();
    let leases = store.lease("relay", LEASE).await.unwrap();
    commit(f, &[message("a", 0), message("a", 1), message("a", 2)]).await;
    let fetch = async || store.fetch(&leases, ALL, &[]).await.unwrap().rows;
    let refuse = |row: &Row, retry_after| Refusal {
        row_ref: row.row_ref,
        attempts: 1,
        retry_after,
        reason: "a test".to_owned(),
    };
    let (at_once, never) = (Duration::ZERO, Duration::MAX);
    let rows = fetch().await;
    let outcome = Outcome {
        refused: vec![refuse(&rows[0], at_once), refuse(&rows[1], never)],
        held: vec![rows[2].row_ref],
        ..Outcome::default()
    };
    store.record(&leases, &outcome).await.unwrap();
    // Including the one that is not due by itself: if it were skipped, the last one would overtake it.
    let rows = fetch().await;
    assert_eq!(rows.len(), 3);
    let outcome = Outcome {
        refused: vec![refuse(&rows[0], never)],
        ..Outcome::default()
    };
    store.record(&leases, &outcome).await.unwrap();
    assert_eq!(fetch().await.len(), 0);
}

pub async fn blocked_keys_that_are_due_share_a_round<F: Fixture>(f: &F) {
    let store = f.store();
    let leases = store.lease("relay", LEASE).await.unwrap();
    for key in ["a", "b"] {
        let messages: Vec<_> = (0..6).map(|number| message(key, number)).collect();
        commit(f, &messages).await;
    }
    let fetch = async |messages| {
        let limit = Limit { messages, ..ALL };
        store.fetch(&leases, limit, &[]).await.unwrap().rows
    };
    let (heads, held): (Vec<Row>, Vec<Row>) = fetch(100)
        .await
        .into_iter()
        .partition(|row| id(row).ends_with("-0"));
    let refused = heads.iter().map(|row| Refusal {
        row_ref: row.row_ref,
        attempts: 1,
        retry_after: Duration::ZERO,
        reason: "a test".to_owned(),
    });
    let outcome = Outcome {
        refused: refused.collect(),
        held: held.iter().map(|row| row.row_ref).collect(),
        ..Outcome::default()
    };
    store.record(&leases, &outcome).await.unwrap();
    // The first key has more rows than fit, and the other one goes on beside it.
    for numbers in [0..2, 2..4, 4..6] {
        let rows = fetch(4).await;
        for key in ["a", "b"] {
            let of_key = rows.iter().map(id).filter(|id| id.starts_with(key));
            assert_eq!(of_key.collect::<Vec<_>>(), ids(key, numbers.clone()));
        }
        let outcome = Outcome {
            acknowledged: rows.iter().map(|row| row.row_ref).collect(),
            ..Outcome::default()
        };
        store.record(&leases, &outcome).await.unwrap();
    }
    assert_eq!(f.rows().await, (0, 0));
}

fn id(row: &Row) -> String {
    match &row.content {
        Content::Message(message) => message.id.to_string(),
        Content::Unreadable(reason) => reason.clone(),
    }
}

pub async fn an_unreadable_row_blocks_its_key_and_is_kept<F: Fixture>(f: &F) {
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
    let tape = Tape::default();
    let running = Running::start(f.store(), &tape);
    until("the others are published", async || {
        tape.ids_of("b").len() == 1 && f.rows().await == (0, 2)
    })
    .await;
    until("the status shows it", async || {
        running.relay.status().blocked_keys == 1
    })
    .await;
    assert_eq!(tape.ids_of("a"), ["a-0"]);
    running.stop().await;
}

pub async fn an_outage_counts_no_attempts_and_the_backlog_drains_in_order<F: Fixture>(f: &F) {
    let tape = Tape::default();
    tape.go_away(true);
    let running = Running::start(f.store(), &tape);
    for number in 0..30 {
        commit(f, &[message("a", number), message("b", number)]).await;
    }
    until("several attempts failed", async || tape.calls() > 12).await;
    assert_eq!(f.rows().await, (60, 0), "an outage defers no row");
    let status = running.relay.status();
    assert_eq!(status.activity, Activity::Waiting);
    assert!(status.last_error.unwrap().contains("the tape is away"));
    tape.go_away(false);
    until_empty(f).await;
    assert_eq!(
        (tape.ids_of("a"), tape.ids_of("b")),
        (ids("a", 0..30), ids("b", 0..30))
    );
    until("it is healthy again", async || {
        running.relay.status().is_healthy()
    })
    .await;
    running.stop().await;
}

pub async fn a_lost_acknowledgement_repeats_messages_and_keeps_their_order<F: Fixture>(f: &F) {
    let tape = Tape::default();
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
    assert!(tape.ids().len() > 5, "nothing was repeated");
}

pub async fn a_publish_call_never_outlives_its_lease<F: Fixture>(f: &F) {
    let tape = Tape::default();
    tape.hold(true);
    let running = Running::start_as(f.store(), &tape, |relay| {
        relay
            .lease(Duration::from_millis(300))
            .publish_timeout(PATIENCE)
    });
    commit(f, &[message("a", 0)]).await;
    // The first call hangs. A second one begins only because the lease ends the first.
    until("the call was given up", async || tape.calls() > 1).await;
    tape.hold(false);
    until_empty(f).await;
    running.stop().await;
}
