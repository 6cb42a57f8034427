//! A process that dies in the middle of a rebuild.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::Transactions as _;
use mainstay_eventstore::{
    EventStore as _, Loaded, Projection, ProjectionError, Rebuild, Recorded,
    clock::Backoff,
    conformance::Fixture,
    store::{RebuildStore, StreamStore},
};
use mainstay_ports::EventStorePorts;
use mainstay_testkit::crash::{Points, Reached, at_every_point};

use super::PATIENCE;
use crate::orders::{Order, OrderEvent, noted};

type ConnectionOf<F> = <<F as Fixture>::Store as StreamStore>::Connection;

struct Listing<F>(PhantomData<fn() -> F>);

#[async_trait]
impl<F: Fixture> Projection<ConnectionOf<F>> for Listing<F> {
    const NAME: &'static str = "listing";
    const SHAPE: u32 = 1;
    type Aggregate = Order;

    async fn reset(&self, connection: &mut ConnectionOf<F>) -> Result<(), ProjectionError> {
        Ok(F::clear(connection).await?)
    }

    async fn project(
        &self,
        connection: &mut ConnectionOf<F>,
        events: &[Recorded<OrderEvent>],
    ) -> Result<(), ProjectionError> {
        for recorded in events {
            let row = format!("{}@{}", recorded.id, recorded.version);
            F::write(connection, &row).await?;
        }
        Ok(())
    }
}

fn rebuild<F: Fixture, S: RebuildStore<Connection = ConnectionOf<F>>>(
    store: S,
) -> Rebuild<S, Listing<F>> {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    let rebuild = Rebuild::new(store, Listing(PhantomData));
    rebuild.batch_size(2).backoff(backoff)
}

/// Strikes a rebuild at each of the points; another process goes on.
async fn everywhere<F: Fixture>(f: F, backend: &str) {
    let mut tx = f.store().database().begin().await.unwrap();
    for id in ["a", "b"] {
        let events = [noted("1"), noted("2"), noted("3")];
        let order: Loaded<Order> = f.store().create(&mut tx, id, events).await.unwrap();
        assert_eq!(order.version(), 3);
    }
    f.store().database().commit(tx).await.unwrap();
    let what = format!("{backend}, rebuild");
    let points = at_every_point(&what, async |nth| {
        rebuild::<F, _>(f.store().clone()).restart().await.unwrap();
        let points: Arc<Points> = Points::anywhere(nth);
        let ports = EventStorePorts::new(f.store().clone(), &points);
        let first = rebuild::<F, _>(ports);
        let ended = points
            .until_struck(first.run_until(std::future::pending()))
            .await;
        if let Some(ended) = &ended {
            assert!(ended.as_ref().unwrap().is_done);
        }
        drop(first);
        let other = rebuild::<F, _>(f.store().clone());
        let going_on = other.run_until(std::future::pending());
        let done = tokio::time::timeout(PATIENCE, going_on).await.unwrap();
        let done = done.unwrap();
        assert_eq!((done.events, done.total, done.is_done), (6, 6, true));
        assert_eq!(f.rows().await, ["a@1", "a@2", "a@3", "b@1", "b@2", "b@3"]);
        Reached::of(ended.as_ref())
    })
    .await;
    println!("{what}: struck at {points} points");
    // Four steps of begin, lock, scan, save and commit, and one count, before and after each.
    assert!(points >= 42, "{points} points");
}

#[cfg(feature = "memory")]
#[tokio::test(start_paused = true)]
async fn a_rebuild_gives_each_event_once_wherever_its_process_dies_in_memory() {
    everywhere(crate::memory::MemoryFixture::new(), "memory").await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_rebuild_gives_each_event_once_wherever_its_process_dies_on_sqlite() {
    everywhere(crate::sqlite::fixture().await, "sqlite").await;
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;

    #[tokio::test]
    async fn a_rebuild_gives_each_event_once_wherever_its_process_dies() {
        if let Some(f) = crate::postgres::fixture().await {
            everywhere(f, "postgres").await;
        }
    }
}
