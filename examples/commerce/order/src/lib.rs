//! The order service: takes and prices orders, and advances each by the events of the other
//! services.
//!
//! | file | what |
//! |---|---|
//! | `status` | the state machine of an order, pure |
//! | `pricing` | the price of an order, pure |
//! | `request` | reads and checks a client's request |
//! | `placement` | places orders, many in one transaction, at most one per idempotency key |
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

use commerce_chassis::{Deployment, GroupCommit, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("order", "0001_order");

/// Orders in one transaction at most.
const PLACED_TOGETHER: usize = 64;

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "order", &MIGRATIONS).await?;
    let placement = placement::Placing::new(&builder);
    let (placing, work) =
        GroupCommit::new(placement, PLACED_TOGETHER, deployment.shutdown().clone());
    let router = http::router(builder.db().clone(), placing);
    let handlers = handlers::handlers(builder.journal());
    builder
        .task("placing", work)
        .build(router, handlers, Vec::new())
        .await
}
