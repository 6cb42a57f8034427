//! Concurrent transactions.

use std::sync::Arc;

use commerce_chassis::ON_A_SERVER;
use commerce_contracts::{StockReservationFailed, StockReserved};
use mainstay_database::Transactions as _;
use mainstay_inbox::HandlerError;
use mainstay_messaging::Event as _;

use super::{
    fixture::{Fixture, delivery},
    reserve,
};
use crate::HOLD;

#[tokio::test]
async fn scarce_stock_is_never_oversold() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    let shop = Arc::new(shop);
    let orders = (0..40).map(|number| {
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            let order = reserve(&format!("o{number}"), &[("SKU-199", 1), ("SKU-198", 1)]);
            shop.handle(&format!("o{number}:ReserveStock:1"), &order)
                .await;
        })
    });
    for order in orders.collect::<Vec<_>>() {
        order.await.unwrap();
    }
    assert_eq!(shop.level("SKU-199").await, (10, 10));
    assert_eq!(shop.level("SKU-198").await, (20, 10));
    let messages = shop.messages().await;
    let of_kind = |kind| {
        messages
            .iter()
            .filter(|it| it.kind.as_str() == kind)
            .count()
    };
    assert_eq!(of_kind(StockReserved::KIND), 10);
    assert_eq!(of_kind(StockReservationFailed::KIND), 30);
}

/// An SQLite file has one writer, so nothing can deadlock there.
#[tokio::test]
async fn transactions_that_take_the_same_stock_in_opposite_orders_do_not_deadlock() {
    if !ON_A_SERVER {
        return;
    }
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    let (db, handlers) = (&shop.db, &shop.handlers);
    let order =
        |id: &str, sku| delivery(&format!("{id}:ReserveStock:1"), &reserve(id, &[(sku, 1)]));

    let mut first = db.begin().await.unwrap();
    handlers
        .run(&mut first, &order("a", "SKU-001"))
        .await
        .unwrap();
    let second = async {
        let mut second = db.begin().await.unwrap();
        handlers.run(&mut second, &order("b", "SKU-002")).await?;
        handlers.run(&mut second, &order("c", "SKU-001")).await?;
        Ok::<_, HandlerError>(db.commit(second).await?)
    };
    let rest_of_first = async {
        // Until the second one waits for the first.
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(db.reader())
            .await
            .unwrap()
            == 0
        {
            tokio::task::yield_now().await;
        }
        handlers.run(&mut first, &order("d", "SKU-002")).await?;
        Ok::<_, HandlerError>(db.commit(first).await?)
    };
    let (second, first) = tokio::join!(second, rest_of_first);
    first.unwrap();
    second.unwrap();
    assert_eq!(shop.level("SKU-001").await.1, 2);
    assert_eq!(shop.level("SKU-002").await.1, 2);
}
