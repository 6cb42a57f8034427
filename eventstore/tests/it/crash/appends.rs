//! A process that dies, or a caller that gives up, in the middle of an append's transaction.

use std::sync::Arc;

use mainstay_database::Transactions as _;
use mainstay_eventstore::{
    Error, EventStore as _, Loaded,
    conformance::Fixture,
    store::{RebuildStore, SnapshotStore, StreamStore},
};
use mainstay_ports::EventStorePorts;
use mainstay_testkit::crash::{Points, Reached, after_polls, at_every_point};

use super::PATIENCE;
use crate::orders::{Kept, Notes, Order, noted};

/// Notes `by` and a second time, unless it is noted already; what the order's version is then.
async fn note<F, A, S>(store: &S, id: &str, by: &str) -> Result<u64, Error>
where
    F: Fixture,
    A: Notes,
    S: RebuildStore + SnapshotStore<Connection = <F::Store as StreamStore>::Connection>,
{
    let mut tx = store.database().begin().await?;
    let mut order: Loaded<A> = store.load(&mut tx, id).await?;
    if order.notes().iter().any(|note| note == by) {
        return Ok(order.version());
    }
    store
        .append(&mut tx, id, &mut order, [noted(by), noted(by)])
        .await?;
    F::write(&mut tx, &row::<A>(id, by)).await?;
    store.database().commit(tx).await?;
    Ok(order.version())
}

/// What the caller writes with the notes.
fn row<A: Notes>(id: &str, by: &str) -> String {
    format!("{}/{id} {by}", A::STREAM)
}

/// Until it is done: what a dead process left may still be on its way to its end.
async fn note_at_last<F: Fixture, A: Notes>(f: &F, id: &str, by: &str) -> u64 {
    let noting = async {
        loop {
            match note::<F, A, _>(f.store(), id, by).await {
                Ok(version) => return version,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, noting).await.unwrap()
}

/// Whatever became of the attempt: both notes and the row, or none of them. Then another process
/// notes as well, and tries the first one's again.
async fn is_whole<F: Fixture, A: Notes>(f: &F, id: &str, heard: Option<u64>) {
    note_at_last::<F, A>(f, id, "second").await;
    let mut tx = f.store().database().begin().await.unwrap();
    let order: Loaded<A> = f.store().load(&mut tx, id).await.unwrap();
    drop(tx);
    let of = |by: &str| order.notes().iter().filter(|note| *note == by).count();
    assert_eq!(of("second"), 2);
    assert!(
        [0, 2].contains(&of("first")),
        "whole or not at all: {order:?}",
        order = order.notes()
    );
    assert_eq!(order.version(), order.notes().len() as u64, "without a gap");
    let (rows, row_of_first) = (f.rows().await, row::<A>(id, "first"));
    let row = rows.iter().filter(|row| **row == row_of_first).count();
    assert_eq!(2 * row, of("first"), "with the caller's row");
    if heard.is_some() {
        assert_eq!(of("first"), 2, "what was answered is there");
    }
    assert_eq!(note_at_last::<F, A>(f, id, "first").await, 4);
}

async fn at_every_call<F: Fixture, A: Notes>(f: &F, backend: &str) {
    let what = format!("{backend}, {}", A::STREAM);
    let points = at_every_point(&what, async |nth| {
        let id = format!("call-{nth}");
        let points: Arc<Points> = Points::anywhere(nth);
        let ports = EventStorePorts::new(f.store().clone(), &points);
        let heard = points
            .until_struck(note::<F, A, _>(&ports, &id, "first"))
            .await;
        let answer = heard.as_ref().map(|heard| *heard.as_ref().unwrap());
        is_whole::<F, A>(f, &id, answer).await;
        Reached::of(heard.as_ref())
    })
    .await;
    println!("{what}: struck at {points} points");
    // begin, load, append and commit, before and after each.
    assert!(points >= 8, "{points} points");
}

async fn at_every_await<F: Fixture, A: Notes>(f: &F, backend: &str) {
    let what = format!("{backend}, {}, awaits", A::STREAM);
    let points = at_every_point(&what, async |polls| {
        let id = format!("await-{polls}");
        let heard = after_polls(polls, note::<F, A, _>(f.store(), &id, "first")).await;
        let answer = heard.as_ref().map(|heard| *heard.as_ref().unwrap());
        is_whole::<F, A>(f, &id, answer).await;
        Reached::of(heard.as_ref())
    })
    .await;
    println!("{what}: struck at {points} points");
    assert!(points >= 1, "{points} points");
}

async fn everywhere<F: Fixture>(f: F, backend: &str) {
    at_every_call::<F, Order>(&f, backend).await;
    at_every_call::<F, Kept>(&f, backend).await;
    at_every_await::<F, Order>(&f, backend).await;
    at_every_await::<F, Kept>(&f, backend).await;
}

#[cfg(feature = "memory")]
#[tokio::test(start_paused = true)]
async fn an_append_is_whole_or_not_at_all_wherever_its_process_dies_in_memory() {
    everywhere(crate::memory::MemoryFixture::new(), "memory").await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_append_is_whole_or_not_at_all_wherever_its_process_dies_on_sqlite() {
    everywhere(crate::sqlite::fixture().await, "sqlite").await;
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;

    #[tokio::test]
    async fn an_append_is_whole_or_not_at_all_wherever_its_process_dies() {
        if let Some(f) = crate::postgres::fixture().await {
            everywhere(f, "postgres").await;
        }
    }
}
