//! The inventory service: holds stock for orders, and commits or releases it.
//!
//! | file | what |
//! |---|---|
//! | `reservation` | the states of a reservation, pure |
//! | `level` | what customers hear of stock, pure |
//! | `handlers` | the commands of the saga, shipments that leave, cancelled orders, products |
//! | `adjustment` | stock that operators move |
//! | `expiry` | ends holds that were not extended in time, in one process at a time |
//! | `http`, `store` | requests, tables |

mod adjustment;
mod expiry;
mod handlers;
mod http;
mod level;
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
pub const MIGRATIONS: Migrations =
    commerce_chassis::migrations!("inventory", "0001_inventory", "0002_products");

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
    let mut builder = ServiceBuilder::open(deployment, "inventory", &MIGRATIONS).await?;
    let records = builder.records().await?;
    let participant = builder.participant().await?;
    let inventory = handlers::Inventory::new(&builder, hold);
    let router = http::router(builder.db().clone(), records, inventory.clone());
    let expiry = expiry::Expiry::new(&builder);
    let builder = builder.lead("expiry", expiry, MIN_INTERVAL).await?;
    let handlers = handlers::handlers(&participant, inventory);
    builder.build(router, handlers, Vec::new()).await
}
