//! The order service: takes orders, prices them, and carries each to its end by what the other services tell.
//!
//! | file | what |
//! |---|---|
//! | `status` | the state machine of an order, pure |
//! | `pricing` | what an order costs, pure |
//! | `request` | what a client may ask |
//! | `placement` | placing orders, many in one transaction, each idempotency key once |
//! | `advance` | what an order does about what it hears |
//! | `handlers`, `http`, `store` | the edges: events, requests, tables |

mod advance;
mod handlers;
mod http;
mod placement;
mod pricing;
mod request;
mod status;
mod store;

use commerce_chassis::{Deployment, GroupCommit, Result, Service, Station};
use mainstay_database::Migrations;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("order", "0001_order");

/// Orders placed in one transaction at most.
const PLACED_TOGETHER: usize = 64;

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let station = Station::open(deployment, "order", &MIGRATIONS).await?;
    let placement = placement::Placing::new(&station);
    let (placing, work) =
        GroupCommit::new(placement, PLACED_TOGETHER, deployment.shutdown().clone());
    let router = http::router(station.db().clone(), placing);
    let handlers = handlers::handlers(station.journal());
    station
        .task("placing", work)
        .serve(router, handlers, Vec::new())
        .await
}
