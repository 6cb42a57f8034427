//! The inventory service: holds stock for orders, and commits or releases it.
//!
//! | file | what |
//! |---|---|
//! | `shelf` | decides which orders get stock: all of an order or nothing, never more than is available; pure |
//! | `reservation` | the states of a hold, pure |
//! | `handlers`, `http`, `store` | the edges: events, requests, tables |

mod handlers;
mod http;
#[cfg(test)]
mod races;
mod reservation;
mod shelf;
#[cfg(test)]
mod simulated;
mod store;

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("inventory", "0001_inventory");

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "inventory", &MIGRATIONS).await?;
    let router = http::router(builder.db().clone());
    let handlers = handlers::handlers(builder.journal());
    builder.build(router, handlers, Vec::new()).await
}
