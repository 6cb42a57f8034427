//! An HTTP service: orders through records in PostgreSQL, charges through leases in Redis.

use std::time::Duration;

use axum::{Extension, Router, extract::State, response::Response, routing::post};
use clap::Args;
use mainstay_database::postgres::Database;
use mainstay_idempotency::{
    Answer, IdempotencyLayer, Keyed as KeyedOrder, Lease, PostgresRecords, RedisLeases,
    http::Problem, redis::Client,
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// What it answers, and with what.
#[derive(Args, Clone, Debug)]
pub struct Keyed {
    /// What it is called.
    #[arg(long)]
    name: String,
    /// The database, with the tables `orders` and `charges`.
    #[arg(long)]
    url: String,
    /// The server of the leases.
    #[arg(long)]
    redis: String,
    /// Where it listens.
    #[arg(long)]
    listen: String,
    /// How many milliseconds a lease lasts.
    #[arg(long, default_value_t = 30_000)]
    lease: u64,
    /// How many milliseconds the provider takes for a charge.
    #[arg(long, default_value_t = 0)]
    work: u64,
}

/// The handler's own number shows in the answer whether it ran again.
async fn place(tx: &mut PgConnection, sku: &String) -> Result<Answer, Problem> {
    let id: i64 = sqlx::query_scalar("INSERT INTO orders (sku) VALUES ($1) RETURNING id")
        .bind(sku)
        .fetch_one(tx)
        .await?;
    Ok(Answer::json(201_u16, &id)?.header("location", format!("/orders/{id}")))
}

async fn post_order(
    State(records): State<PostgresRecords>,
    order: KeyedOrder<String>,
) -> Result<Response, Problem> {
    order.run(&records, place).await
}

#[derive(Clone)]
struct Provider {
    database: Database,
    work: Duration,
}

/// The provider deduplicates by the key that it is told, and each holder has an answer of its own.
async fn post_charge(
    State(provider): State<Provider>,
    Extension(lease): Extension<Lease>,
) -> Result<String, Problem> {
    let (key, token) = (lease.request().key.text(), lease.token());
    sqlx::query("INSERT INTO charges (key) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(key)
        .execute(provider.database.pool())
        .await?;
    tokio::time::sleep(provider.work).await;
    Ok(format!("{key} charged under {token}"))
}

impl Keyed {
    /// Answers requests until `shutdown`; says nothing of itself.
    ///
    /// # Errors
    /// What PostgreSQL, Redis or the port refused.
    pub async fn run(self, shutdown: CancellationToken) -> Result<serde_json::Value, Failure> {
        let database = Database::builder(&*self.url).max_connections(8);
        let database = database.open().await?;
        let records = PostgresRecords::builder(&database).open().await?;
        let client = Client::open(&*self.redis).map_err(Failure::at("Redis"))?;
        let connection = client.get_connection_manager().await;
        let connection = connection.map_err(Failure::at("Redis"))?;
        let leases = RedisLeases::builder(connection).open().await?;
        let lease = Duration::from_millis(self.lease);
        let provider = Provider {
            database,
            work: Duration::from_millis(self.work),
        };
        let charges = Router::new()
            .route("/charges", post(post_charge))
            .route_layer(IdempotencyLayer::new(leases).lease(lease))
            .with_state(provider);
        let app = Router::new()
            .route("/orders", post(post_order))
            .with_state(records)
            .merge(charges);
        let listener = tokio::net::TcpListener::bind(&self.listen).await;
        let listener = listener.map_err(Failure::at(&self.listen))?;
        axum::serve(listener, app)
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await
            .map_err(Failure::at("serving"))?;
        Ok(serde_json::json!({ "name": self.name }))
    }
}
