//! The inventory service: holds stock for orders, and commits or releases it.
//!
//! | file | what |
//! |---|---|
//! | `reservation` | the states of a reservation, pure |
//! | `handlers` | the commands of the saga, and shipments that leave |
//! | `expiry` | ends holds that were not extended in time, in one process at a time |
//! | `http`, `store` | requests, tables |

mod expiry;
mod handlers;
mod http;
mod reservation;
#[cfg(test)]
mod simulated;
mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("inventory", "0001_inventory");

/// How long stock is held for an order that is not confirmed, by default.
pub const HOLD: Duration = Duration::from_secs(15 * 60);

/// The one warehouse of the application.
const WAREHOUSE: &str = "main";

/// Rounds that end holds start at least this far apart.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// Opens the service. Stock is held for an order that is not confirmed for as long as `hold`.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment, hold: Duration) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "inventory", &MIGRATIONS).await?;
    let router = http::router(builder.db().clone());
    let kit = builder.participant().await?;
    let inventory = handlers::Inventory::new(&builder, kit, hold);
    let expiry = expiry::Expiry::new(&builder);
    let builder = builder.lead("expiry", expiry, MIN_INTERVAL).await?;
    let handlers = handlers::handlers(inventory);
    builder.build(router, handlers, Vec::new()).await
}
