//! An HTTP service on a `PgPool` that exists: it places orders, and bills them in a worker.
//!
//! ```console
//! $ DATABASE_URL=postgres://localhost/shop cargo run -p mainstay-examples --bin axum_service
//! $ curl -d '{"id":"17","cents":4200}' -H 'content-type: application/json' localhost:3000/orders
//! ```
//!
//! One process does both here; the log in `log.db` could be shared with others.
#![expect(clippy::print_stderr, reason = "an example shows what it does")]

use std::{borrow::Cow, error::Error};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use mainstay_inbox::{HandlerError, PostgresInbox, Received, Worker};
use mainstay_outbox::{Event, Outbox, PostgresOutbox, Relay, messaging::sqlite::Broker};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct OrderPlaced {
    id: String,
    cents: i64,
}

impl Event for OrderPlaced {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "OrderPlaced";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.id.as_str().into())
    }
}

#[derive(Clone)]
struct Shop {
    pool: PgPool,
    outbox: PostgresOutbox,
}

async fn post_order(
    State(shop): State<Shop>,
    Json(order): Json<OrderPlaced>,
) -> Result<StatusCode, (StatusCode, String)> {
    place(&shop, &order)
        .await
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(StatusCode::CREATED)
}

async fn place(shop: &Shop, order: &OrderPlaced) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut tx = shop.pool.begin().await?;
    sqlx::query("INSERT INTO orders (id, cents) VALUES ($1, $2)")
        .bind(&order.id)
        .bind(order.cents)
        .execute(&mut *tx)
        .await?;
    announce(&shop.outbox, &mut tx, order).await?;
    tx.commit().await?;
    shop.outbox.notify();
    Ok(())
}

/// What the service tells others about an order. It needs no SQL of its own.
async fn announce<O: Outbox>(
    outbox: &O,
    tx: &mut O::Connection,
    order: &OrderPlaced,
) -> Result<(), mainstay_outbox::Error> {
    outbox.emit(tx, order).await
}

/// The amount to bill. An order that can never be billed blocks its key until an operator looks.
fn amount(order: &OrderPlaced) -> Result<i64, HandlerError> {
    if order.cents < 0 {
        return Err(HandlerError::permanent(
            "a negative amount cannot be billed",
        ));
    }
    Ok(order.cents)
}

async fn bill(tx: &mut PgConnection, order: Received<OrderPlaced>) -> Result<(), HandlerError> {
    sqlx::query("INSERT INTO invoices (order_id, cents) VALUES ($1, $2)")
        .bind(&order.event.id)
        .bind(amount(&order.event)?)
        .execute(tx)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY, cents bigint NOT NULL);
         CREATE TABLE IF NOT EXISTS invoices (order_id text NOT NULL, cents bigint NOT NULL)",
    )
    .execute(&pool)
    .await?;

    let broker = Broker::open("log.db").await?;
    broker.create_topic("orders", 4).await?;
    let outbox = PostgresOutbox::builder(&pool)
        .source("/orders")
        .open()
        .await?;
    let relay = Relay::new(outbox.clone(), broker.publisher()).spawn();
    let inbox = PostgresInbox::builder(pool.clone()).open().await?;
    let consumer = broker.consumer("billing").subscribe(["orders"]).await?;
    let worker = Worker::new(inbox, consumer).on(bill).spawn();

    let app = Router::new()
        .route("/orders", post(post_order))
        .with_state(Shop { pool, outbox });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("cannot listen for Ctrl-C, so the service ends: {error}");
        }
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted)
        .await?;
    worker.shutdown().await?;
    relay.shutdown().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use mainstay_outbox::RecordingOutbox;

    use super::*;

    fn order(cents: i64) -> OrderPlaced {
        OrderPlaced {
            id: "17".to_owned(),
            cents,
        }
    }

    #[tokio::test]
    async fn an_order_is_announced() {
        let outbox = RecordingOutbox::<()>::new();
        announce(&outbox, &mut (), &order(4_200)).await.unwrap();
        assert_eq!(outbox.events::<OrderPlaced>().unwrap(), [order(4_200)]);
    }

    #[test]
    fn a_negative_amount_is_refused_for_good() {
        assert_eq!(amount(&order(4_200)).unwrap(), 4_200);
        assert!(amount(&order(-1)).unwrap_err().is_permanent());
    }
}
