//! The inventory service: holds stock for orders, and commits or releases it.
//!
//! | file | what |
//! |---|---|
//! | `shelf` | decides which orders get stock: all of an order or nothing, never more than is available; pure |
//! | `reservation` | the states of a hold, pure |
//! | `expiry` | ends holds that were not confirmed in time, in one process at a time |
//! | `handlers`, `http`, `store` | the edges: events, requests, tables |

mod expiry;
mod handlers;
mod http;
#[cfg(test)]
mod races;
mod reservation;
mod shelf;
#[cfg(test)]
mod simulated;
mod store;

use std::time::Duration;

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations =
    commerce_chassis::migrations!("inventory", "0001_inventory", "0002_expiry");

/// How long stock is held for an order that is not confirmed, by default.
pub const HOLD: Duration = Duration::from_secs(15 * 60);

/// Rounds that end holds start at least this far apart.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// Opens the service. Stock is held for an order that is not confirmed for as long as `hold`.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment, hold: Duration) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "inventory", &MIGRATIONS).await?;
    let router = http::router(builder.db().clone());
    let handlers = handlers::handlers(builder.journal(), hold);
    let expiry = expiry::Expiry::new(&builder);
    let builder = builder.lead("expiry", expiry, MIN_INTERVAL).await?;
    builder.build(router, handlers, Vec::new()).await
}
