//! Lifetimes and sweeping. A lifetime of zero ends at once by the store's clock.

use std::time::Duration;

use super::{
    Concurrent, RecordsFixture, answer,
    records::{begin, claim, commit, look, process},
    request, until,
};
use crate::{Error, KeyedRequest, Records as _, Settled, Sweeper, sweep::Sweep as _};

/// Keeps an answer that has expired.
async fn process_expired<F: RecordsFixture>(f: &F, request: &KeyedRequest, name: &str) {
    let records = f.records_for(Duration::ZERO).await;
    let mut tx = begin(f).await;
    let claim = claim(f, &mut tx, request).await;
    F::write(&mut tx, name).await.unwrap();
    records
        .complete(&mut tx, claim, &answer(name))
        .await
        .unwrap();
    commit(f, tx).await;
}

pub async fn an_answer_ends_with_its_lifetime<F: RecordsFixture>(f: &F) {
    process_expired(f, &request("k1", "a mug"), "first").await;
    assert_eq!(f.kept().await, 1);
    // For another request as well.
    let other = request("k1", "a cup");
    process(f, &other, "second").await;
    assert_eq!(look(f, &other).await, Settled::Done(answer("second")));
    assert_eq!(f.kept().await, 1);
    assert_eq!(f.effects().await, ["first", "second"]);
}

pub async fn an_expired_answer_is_replaced_once<F: RecordsFixture>(f: &F) {
    let request = request("k1", "a mug");
    process_expired(f, &request, "first").await;
    let mut tx = begin(f).await;
    let late = claim(f, &mut tx, &request).await;
    drop(tx);
    process(f, &request, "second").await;
    let mut tx = begin(f).await;
    let refused = f.records().complete(&mut tx, late, &answer("late")).await;
    assert!(
        matches!(refused, Err(Error::Conflict { .. })),
        "{refused:?}"
    );
    drop(tx);
    assert_eq!(look(f, &request).await, Settled::Done(answer("second")));
}

pub async fn a_sweep_deletes_expired_answers_only<F: RecordsFixture>(f: &F) {
    process(f, &request("living", "a"), "living").await;
    for key in ["a", "b"] {
        process_expired(f, &request(key, "a"), key).await;
    }
    assert_eq!(f.records().sweep(100).await.unwrap(), 2);
    assert_eq!(f.records().sweep(100).await.unwrap(), 0);
    assert_eq!(f.kept().await, 1);
    let living = look(f, &request("living", "a")).await;
    assert_eq!(living, Settled::Done(answer("living")));
}

pub async fn a_sweep_deletes_no_more_than_its_limit<F: RecordsFixture>(f: &F) {
    for number in 0..5 {
        process_expired(f, &request(&format!("k{number}"), "a"), "x").await;
    }
    for (swept, left) in [(2, 3), (2, 1), (1, 0)] {
        assert_eq!(f.records().sweep(2).await.unwrap(), swept);
        assert_eq!(f.kept().await, left);
    }
}

/// The expired answer is being replaced by a transaction that is open.
pub async fn a_sweep_leaves_a_key_that_is_being_processed<F: RecordsFixture>(f: &F) {
    let request = request("k1", "a mug");
    process_expired(f, &request, "first").await;
    let records = f.records();
    let mut tx = begin(f).await;
    let claim = claim(f, &mut tx, &request).await;
    records
        .complete(&mut tx, claim, &answer("second"))
        .await
        .unwrap();
    if F::CONCURRENT == Concurrent::Waits {
        // There is one writer: a sweep comes before or after.
        commit(f, tx).await;
        assert_eq!(records.sweep(100).await.unwrap(), 0);
    } else {
        assert_eq!(records.sweep(100).await.unwrap(), 0, "it waited or deleted");
        commit(f, tx).await;
    }
    assert_eq!(look(f, &request).await, Settled::Done(answer("second")));
}

pub async fn a_sweeper_sweeps_until_it_is_shut_down<F: RecordsFixture>(f: &F) {
    for number in 0..5 {
        process_expired(f, &request(&format!("k{number}"), "a"), "x").await;
    }
    let sweeper = Sweeper::new(f.records()).batch_size(2);
    let sweeper = sweeper.interval(Duration::from_millis(5)).spawn();
    until("all is swept", async || f.kept().await == 0).await;
    process_expired(f, &request("later", "a"), "x").await;
    until("the later one is swept", async || f.kept().await == 0).await;
    until("it says so", async || sweeper.status().swept == 6).await;
    assert!(sweeper.status().last_error.is_none());
    sweeper.shutdown().await.unwrap();
    process_expired(f, &request("last", "a"), "x").await;
    assert_eq!(f.kept().await, 1);
}
