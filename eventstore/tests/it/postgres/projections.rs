//! A projection that is written by the transactions that append, while it is made anew.
//!
//! As `Rebuild` says: the row keeps the version it has, and is locked before anything is written.

use std::{collections::HashMap, future::pending, sync::Arc};

use async_trait::async_trait;
use mainstay_eventstore::{
    Error, EventStore as _, Loaded, PostgresEventStore, Projection, ProjectionError, Rebuild,
    Recorded,
};
use sqlx::PgConnection;
use tokio::sync::watch;

use super::{PostgresFixture, fixture};
use crate::orders::{Order, OrderEvent, noted};

/// One row per order: its version, and how many notes it has.
pub(super) struct OrderList<const SHAPE: u32>;

impl<const SHAPE: u32> OrderList<SHAPE> {
    pub(super) fn rebuild(store: &PostgresEventStore) -> Rebuild<PostgresEventStore, Self> {
        Rebuild::new(store.clone(), Self).batch_size(10)
    }
}

pub(super) async fn create_table(f: &PostgresFixture) {
    let create = "CREATE TABLE order_list (id TEXT PRIMARY KEY, version BIGINT NOT NULL, notes BIGINT NOT NULL);
        GRANT SELECT, INSERT, UPDATE, DELETE ON order_list TO shop_eventstore_service;";
    sqlx::raw_sql(create).execute(&f.owner).await.unwrap();
}

#[async_trait]
impl<const SHAPE: u32> Projection<PgConnection> for OrderList<SHAPE> {
    const NAME: &'static str = "order list";
    const SHAPE: u32 = SHAPE;
    type Aggregate = Order;

    async fn reset(&self, connection: &mut PgConnection) -> Result<(), ProjectionError> {
        sqlx::query("DELETE FROM order_list")
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Each stream's events, one by one, above the version that its row has.
    async fn project(
        &self,
        connection: &mut PgConnection,
        events: &[Recorded<OrderEvent>],
    ) -> Result<(), ProjectionError> {
        let (ids, versions): (Vec<&str>, Vec<i64>) = events
            .iter()
            .map(|recorded| (&*recorded.id, i64::try_from(recorded.version).unwrap()))
            .unzip();
        sqlx::query(
            "INSERT INTO order_list AS l (id, version, notes)
             SELECT id, max(version), count(*) FROM UNNEST($1::text[], $2::int8[]) AS e (id, version)
             GROUP BY id ORDER BY id
             ON CONFLICT (id) DO UPDATE SET
               version = greatest(l.version, excluded.version),
               notes = l.notes + greatest(excluded.version - l.version, 0)",
        )
        .bind(ids)
        .bind(versions)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Appends a note, and brings the order's row up to it, whatever it had.
async fn note(f: &PostgresFixture, id: &str, by: &str) -> Result<(), Error> {
    let failed = |error: sqlx::Error| Error::Database(super::classify(error));
    let store = &f.store;
    let mut tx = f.database.begin().await?;
    // Locks the row, and makes it if there is none.
    let has: i64 = sqlx::query_scalar(
        "INSERT INTO order_list AS l (id, version, notes) VALUES ($1, 0, 0)
         ON CONFLICT (id) DO UPDATE SET version = l.version RETURNING version",
    )
    .bind(id)
    .fetch_one(&mut *tx)
    .await
    .map_err(failed)?;
    let mut order: Loaded<Order> = store.load(&mut tx, id).await?;
    store.append(&mut tx, id, &mut order, [noted(by)]).await?;
    let missing = store
        .history::<Order>(&mut tx, id, has.unsigned_abs(), u64::MAX)
        .await?;
    let projected = OrderList::<1>.project(&mut tx, &missing).await;
    projected.unwrap();
    f.database.commit(tx).await?;
    Ok(())
}

#[tokio::test]
async fn a_projection_that_keeps_versions_misses_nothing_that_is_appended_meanwhile() {
    const ORDERS: usize = 40;
    let Some(f) = fixture().await else { return };
    let f = Arc::new(f);
    create_table(&f).await;
    for id in 0..ORDERS {
        let mut tx = f.database.begin().await.unwrap();
        let id = id.to_string();
        let order = f
            .store
            .create::<Order>(&mut tx, &id, [noted("first")])
            .await;
        assert_eq!(order.unwrap().version(), 1);
        f.database.commit(tx).await.unwrap();
    }
    let (stop, stopped) = watch::channel(false);
    let writers = (0..4).map(|writer: usize| {
        let (f, stopped) = (Arc::clone(&f), stopped.clone());
        tokio::spawn(async move {
            let mut noted = 0_i64;
            for nth in writer.. {
                if *stopped.borrow() {
                    break;
                }
                match note(&f, &(nth % ORDERS).to_string(), "again").await {
                    Ok(()) => noted += 1,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
            noted
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..10 {
        let rebuild = OrderList::<1>::rebuild(&f.store);
        rebuild.restart().await.unwrap();
        let progress = rebuild.run_until(pending()).await.unwrap();
        assert!(progress.is_done);
    }
    stop.send(true).unwrap();
    let mut written = i64::try_from(ORDERS).unwrap();
    for writer in writers {
        written += writer.await.unwrap();
    }
    let rows: Vec<(String, i64, i64)> = sqlx::query_as("SELECT id, version, notes FROM order_list")
        .fetch_all(&f.owner)
        .await
        .unwrap();
    let heads: Vec<(String, i64)> = sqlx::query_as(
        "SELECT split_part(stream, '/', 2), max(version) FROM sales.shop_eventstore_events GROUP BY 1",
    )
    .fetch_all(&f.owner)
    .await
    .unwrap();
    let heads: HashMap<String, i64> = heads.into_iter().collect();
    assert_eq!(rows.len(), ORDERS);
    for (id, version, notes) in rows {
        assert_eq!((version, notes), (heads[&id], heads[&id]), "order {id}");
    }
    assert_eq!(heads.values().sum::<i64>(), written);
}
