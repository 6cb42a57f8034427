//! The order service: takes and prices orders, and advances each by the events of the other
//! services.
//!
//! | file | what |
//! |---|---|
//! | `status` | the state machine of an order, pure |
//! | `pricing` | the price of an order, pure |
//! | `request` | reads and checks a client's request |
//! | `placement` | places an order, in the transaction that keeps its answer |
//! | `advance` | applies received inputs to orders, and emits what follows |
//! | `handlers`, `http`, `store` | the edges: events, requests, tables |

mod advance;
mod handlers;
mod http;
mod placement;
mod pricing;
mod request;
mod status;
mod store;

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations =
    commerce_chassis::migrations!("order", "0001_order", "0002_records");

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let mut builder = ServiceBuilder::open(deployment, "order", &MIGRATIONS).await?;
    let records = builder.records().await?;
    let placing = placement::Placing::new(&builder);
    let router = http::router(builder.db().clone(), records, placing);
    let handlers = handlers::handlers(builder.journal());
    builder.build(router, handlers, Vec::new()).await
}
