//! An HTTP service on a `PgPool` that exists: it places orders, and bills them in a worker.
//!
//! ```console
//! $ createdb shop
//! $ DATABASE_URL=postgres://localhost/shop cargo run -p mainstay-examples --bin axum_service
//! $ curl -d '{"id":"17","cents":4200}' -H 'content-type: application/json' localhost:3000/orders
//! ```
//!
//! One process does both here; the log in `log.db` could be shared with others. The tests at the
//! end need no server.

use std::{borrow::Cow, error::Error};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use mainstay_inbox::{HandlerError, PostgresInbox, Received, Worker, WorkerHandle};
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
    worker: WorkerHandle,
}

async fn post_order(
    State(shop): State<Shop>,
    Json(order): Json<OrderPlaced>,
) -> Result<StatusCode, Problem> {
    let mut tx = shop.pool.begin().await?;
    let inserted =
        sqlx::query("INSERT INTO orders (id, cents) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(&order.id)
            .bind(order.cents)
            .execute(&mut *tx)
            .await?;
    if inserted.rows_affected() == 0 {
        return Err(Problem(StatusCode::CONFLICT));
    }
    announce(&shop.outbox, &mut tx, &order).await?;
    tx.commit().await?;
    shop.outbox.notify();
    Ok(StatusCode::CREATED)
}

/// What the service tells others about an order.
async fn announce<O: Outbox>(
    outbox: &O,
    tx: &mut O::Connection,
    order: &OrderPlaced,
) -> Result<(), mainstay_outbox::Error> {
    outbox.emit(tx, order).await
}

/// A response without the text of the error, which may name tables and hosts.
struct Problem(StatusCode);

impl<E: Error + 'static> From<E> for Problem {
    fn from(error: E) -> Self {
        tracing::error!(error = &error as &dyn Error, "the request failed");
        Self(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "title": self.0.canonical_reason(),
            "status": self.0.as_u16(),
        });
        let content_type = (CONTENT_TYPE, "application/problem+json");
        (self.0, [content_type], body.to_string()).into_response()
    }
}

/// The SQL of billing. The tests replace it, and so need no server.
trait Invoices: Clone + Send + Sync + 'static {
    type Connection: Send;

    fn add(
        &self,
        tx: &mut Self::Connection,
        order: &OrderPlaced,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

#[derive(Clone)]
struct PostgresInvoices;

impl Invoices for PostgresInvoices {
    type Connection = PgConnection;

    async fn add(&self, tx: &mut PgConnection, order: &OrderPlaced) -> Result<(), HandlerError> {
        sqlx::query("INSERT INTO invoices (order_id, cents) VALUES ($1, $2)")
            .bind(&order.id)
            .bind(order.cents)
            .execute(tx)
            .await?;
        Ok(())
    }
}

/// An order that can never be billed blocks its key until an operator looks.
async fn bill<I: Invoices>(
    tx: &mut I::Connection,
    order: Received<OrderPlaced>,
    invoices: I,
) -> Result<(), HandlerError> {
    if order.event.cents < 0 {
        return Err(HandlerError::permanent(
            "a negative amount cannot be billed",
        ));
    }
    invoices.add(tx, &order.event).await
}

async fn health(State(shop): State<Shop>) -> Response {
    Json(shop.worker.status()).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
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
    let inbox = PostgresInbox::builder(&pool).open().await?;
    let consumer = broker.consumer("billing").subscribe(["orders"]).await?;
    let worker = Worker::new(inbox, consumer)
        .with_state(PostgresInvoices)
        .on(bill)
        .spawn();

    let shop = Shop {
        pool,
        outbox,
        worker: worker.clone(),
    };
    let app = Router::new()
        .route("/orders", post(post_order))
        .route("/health", get(health))
        .with_state(shop);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot listen for Ctrl-C, so the service ends");
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
    use std::sync::{Arc, Mutex};

    use axum::body::to_bytes;
    use mainstay_outbox::RecordingOutbox;

    use super::*;

    fn order(cents: i64) -> OrderPlaced {
        OrderPlaced {
            id: "17".to_owned(),
            cents,
        }
    }

    /// Invoices in memory, so no connection is needed.
    #[derive(Clone, Default)]
    struct RecordedInvoices(Arc<Mutex<Vec<OrderPlaced>>>);

    impl Invoices for RecordedInvoices {
        type Connection = ();

        async fn add(&self, (): &mut (), order: &OrderPlaced) -> Result<(), HandlerError> {
            self.0.lock().unwrap().push(order.clone());
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_order_is_announced() {
        let outbox = RecordingOutbox::<()>::new();
        announce(&outbox, &mut (), &order(4_200)).await.unwrap();
        assert_eq!(outbox.events::<OrderPlaced>().unwrap(), [order(4_200)]);
    }

    #[tokio::test]
    async fn an_order_is_billed() {
        let invoices = RecordedInvoices::default();
        let received = Received::of(order(4_200));
        bill(&mut (), received, invoices.clone()).await.unwrap();
        assert_eq!(*invoices.0.lock().unwrap(), [order(4_200)]);
    }

    #[tokio::test]
    async fn a_negative_amount_is_refused_for_good() {
        let invoices = RecordedInvoices::default();
        let refused = bill(&mut (), Received::of(order(-1)), invoices.clone()).await;
        assert!(refused.unwrap_err().is_permanent());
        assert!(invoices.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_response_does_not_show_the_error() {
        let error = sqlx::Error::Configuration("db.internal refused".into());
        let response = Problem::from(error).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({"status": 500, "title": "Internal Server Error"});
        assert_eq!(body, expected);
    }
}
