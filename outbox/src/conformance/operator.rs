//! What operators see and do.

use std::time::Duration;

use mainstay_clock::Backoff;

use super::{ALL, Fixture, LEASE, Running, Tape, commit, ids, message, until, until_empty};
use crate::{
    Entry, Error, Outbox as _,
    operator::{Act, Deferred, Operator as _, Signature, Which},
    store::{Content, Outcome, Refusal, RelayStore as _},
};
use mainstay_database::Transactions as _;

fn ada() -> Signature {
    Signature::new("ada", "a test")
}

/// Has a broker refuse `a-0` and `b-0` for good; five more of each wait behind them. No relay tries
/// them again by itself.
async fn refuse_two<F: Fixture>(f: &F) {
    let tape = Tape::default();
    tape.refuse("a-0");
    tape.refuse("b-0");
    let running = start_patient(f, &tape);
    for number in 0..6 {
        commit(f, &[message("a", number), message("b", number)]).await;
    }
    until("all are deferred", async || f.rows().await == (0, 12)).await;
    running.stop().await;
}

/// A relay that waits for an operator before it tries a refused message again.
fn start_patient<F: Fixture>(f: &F, tape: &Tape) -> Running {
    let never = Backoff::new(Duration::from_secs(3_600), Duration::from_secs(3_600));
    Running::start_as(f.store(), tape, |relay| relay.refusal_backoff(never))
}

async fn heads<F: Fixture>(f: &F) -> Vec<Deferred> {
    f.store().deferred(&Which::Heads, None, 100).await.unwrap()
}

async fn of_key<F: Fixture>(f: &F, key: &str) -> Vec<Deferred> {
    let which = Which::Key {
        topic: "orders".to_owned(),
        key: key.to_owned(),
    };
    f.store().deferred(&which, None, 100).await.unwrap()
}

fn ids_of(rows: &[Deferred]) -> Vec<&str> {
    rows.iter()
        .map(|row| row.message_id.as_deref().unwrap())
        .collect()
}

pub async fn an_operator_sees_what_was_refused_and_what_is_held_behind_it<F: Fixture>(f: &F) {
    refuse_two(f).await;
    let shown = heads(f).await;
    assert_eq!(ids_of(&shown), ["a-0", "b-0"]);
    for head in &shown {
        assert!(head.head && head.blocked);
        assert_eq!((head.held, head.attempts, &*head.topic), (5, 1, "orders"));
        assert!(head.refusal.is_some() && head.size > 0);
        assert_eq!(head.kind.as_deref(), Some("Counted"));
    }
    let store = f.store();
    let of_a = of_key(f, "a").await;
    assert_eq!(ids_of(&of_a), ids("a", 0..6));
    assert_eq!(of_a.iter().filter(|row| row.head).count(), 1);
    let page = store.deferred(&Which::All, None, 5).await.unwrap();
    let rest = store
        .deferred(&Which::All, Some(page[4].position), 100)
        .await;
    assert_eq!((page.len(), rest.unwrap().len()), (5, 7));
}

pub async fn a_retry_makes_a_refused_message_due_at_once<F: Fixture>(f: &F) {
    refuse_two(f).await;
    let store = f.store();
    let of_a = of_key(f, "a").await;
    let (first, position) = (of_a[0].position, of_a[3].position);
    let refused = store.retry_now(position, &ada()).await.unwrap_err();
    assert!(
        matches!(refused, Error::HeldBehind { first: f, .. } if f == first),
        "{refused}"
    );
    let tape = Tape::default();
    let running = start_patient(f, &tape);
    store.retry_now(first, &ada()).await.unwrap();
    until("a is published", async || f.rows().await == (0, 6)).await;
    assert_eq!(tape.ids(), ids("a", 0..6));
    let gone = store.retry_now(first, &ada()).await.unwrap_err();
    assert!(
        matches!(gone, Error::NotDeferred(p) if p == first),
        "{gone}"
    );
    running.stop().await;
}

pub async fn a_discarded_head_lets_its_key_go_on_in_order<F: Fixture>(f: &F) {
    refuse_two(f).await;
    let tape = Tape::default();
    let running = start_patient(f, &tape);
    let head = of_key(f, "a").await.remove(0);
    f.store().discard(head.position, &ada()).await.unwrap();
    until("a goes on", async || f.rows().await == (0, 6)).await;
    commit(f, &[message("a", 6)]).await;
    until("a is no longer blocked", async || {
        tape.ids() == ids("a", 1..7)
    })
    .await;
    assert_eq!(ids_of(&heads(f).await), ["b-0"]);
    running.stop().await;
}

/// The next of several heads is marked, whichever row of the key goes.
pub async fn discarding_leaves_the_first_of_the_rest_as_the_head<F: Fixture>(f: &F) {
    refuse_two(f).await;
    let store = f.store();
    let rows = of_key(f, "a").await;
    for (discarded, head) in [(2, 0), (0, 1), (1, 3), (5, 3)] {
        store
            .discard(rows[discarded].position, &ada())
            .await
            .unwrap();
        let shown = heads(f).await;
        let of_a: Vec<_> = shown
            .iter()
            .filter(|row| row.key.as_deref() == Some("a"))
            .collect();
        assert_eq!(of_a.len(), 1, "{shown:?}");
        assert_eq!(of_a[0].position, rows[head].position);
    }
    let tape = Tape::default();
    let running = start_patient(f, &tape);
    until("a goes on", async || tape.ids() == ["a-3", "a-4"]).await;
    running.stop().await;
}

pub async fn a_delayed_message_is_delivered_now_or_discarded<F: Fixture>(f: &F) {
    let mut tx = f.database().begin().await.unwrap();
    let messages = [message("a", 0), message("b", 0)];
    let entries = messages
        .each_ref()
        .map(|message| Entry::new(message).deliver_after(Duration::from_secs(3_600)));
    f.store().enqueue_batch(&mut tx, &entries).await.unwrap();
    f.database().commit(tx).await.unwrap();
    let store = f.store();
    assert!(heads(f).await.is_empty());
    let rows = store.deferred(&Which::All, None, 10).await.unwrap();
    assert!(rows.iter().all(|row| !row.blocked && !row.head), "{rows:?}");
    let tape = Tape::default();
    let running = start_patient(f, &tape);
    store.discard(rows[0].position, &ada()).await.unwrap();
    store.retry_now(rows[1].position, &ada()).await.unwrap();
    until_empty(f).await;
    assert_eq!(tape.ids(), ["b-0"]);
    running.stop().await;
}

pub async fn every_act_is_recorded_with_who_and_why<F: Fixture>(f: &F) {
    refuse_two(f).await;
    let store = f.store();
    let shown = heads(f).await;
    for nobody in [Signature::new(" ", "a test"), Signature::new("ada", "")] {
        let refused = store.discard(shown[0].position, &nobody).await;
        assert!(matches!(refused, Err(Error::Unsigned(_))));
        let refused = store.retry_now(shown[0].position, &nobody).await;
        assert!(matches!(refused, Err(Error::Unsigned(_))));
    }
    assert_eq!(f.rows().await, (0, 12));
    store.retry_now(shown[0].position, &ada()).await.unwrap();
    let bob = Signature::new("bob", "too large");
    store.discard(shown[1].position, &bob).await.unwrap();
    let acts = store.acts(None, 10).await.unwrap();
    let seen = |act: &Act| {
        let Act {
            operator,
            reason,
            act,
            message_id,
            ..
        } = act.clone();
        (operator, reason, act, message_id.unwrap())
    };
    let expected = [
        ("bob", "too large", "discard", "b-0"),
        ("ada", "a test", "retry", "a-0"),
    ];
    let expected = expected.map(|(who, why, what, id)| {
        (
            who.to_owned(),
            why.to_owned(),
            what.to_owned(),
            id.to_owned(),
        )
    });
    assert_eq!(acts.iter().map(seen).collect::<Vec<_>>(), expected);
    assert!(acts.iter().all(|act| act.refusal.is_some()));
    assert_eq!(store.acts(Some(acts[0].id), 10).await.unwrap().len(), 1);

    // A discarded message is kept as it was, and a retried one is not.
    let kept = store.discarded(acts[0].id).await.unwrap();
    let message_of = |content| match content {
        Some(Content::Message(message)) => Some(message),
        _ => None,
    };
    let kept = message_of(kept).unwrap();
    assert_eq!(
        (kept.id.as_str(), kept.payload),
        ("b-0", message("b", 0).payload)
    );
    assert!(store.discarded(acts[1].id).await.unwrap().is_none());
}

pub async fn an_unreadable_row_can_be_discarded<F: Fixture>(f: &F) {
    commit(f, &[message("a", 0), message("a", 1)]).await;
    f.damage("a-0").await;
    let tape = Tape::default();
    let running = start_patient(f, &tape);
    until("it blocks its key", async || f.rows().await == (0, 2)).await;
    let shown = heads(f).await;
    assert_eq!((shown.len(), shown[0].message_id.as_deref()), (1, None));
    let store = f.store();
    store.discard(shown[0].position, &ada()).await.unwrap();
    until_empty(f).await;
    assert_eq!(tape.ids(), ["a-1"]);
    let act = store.acts(None, 1).await.unwrap().remove(0);
    let kept = store.discarded(act.id).await.unwrap();
    assert!(matches!(kept, Some(Content::Unreadable(_))), "{kept:?}");
    running.stop().await;
}

/// A round that was read before the act, and is recorded after it.
pub async fn an_act_during_a_round_keeps_the_order_of_the_key<F: Fixture>(f: &F) {
    refuse_two(f).await;
    let store = f.store();
    let of_a = of_key(f, "a").await;
    store.retry_now(of_a[0].position, &ada()).await.unwrap();
    let leases = store.lease("relay", LEASE).await.unwrap();
    let rows = store.fetch(&leases, ALL, &[]).await.unwrap().rows;
    store.discard(of_a[0].position, &ada()).await.unwrap();
    let refusal = Refusal {
        row_ref: rows[0].row_ref,
        attempts: 2,
        retry_after: Duration::from_secs(3_600),
        reason: "still too large".to_owned(),
    };
    let outcome = Outcome {
        refused: vec![refusal],
        ..Outcome::default()
    };
    store.record(&leases, &outcome).await.unwrap();
    store.release("relay").await.unwrap();
    let shown = heads(f).await;
    assert_eq!(shown.len(), 2, "{shown:?}");
    let tape = Tape::default();
    let running = start_patient(f, &tape);
    until("a goes on", async || f.rows().await == (0, 6)).await;
    assert_eq!(tape.ids(), ids("a", 1..6));
    running.stop().await;
}
