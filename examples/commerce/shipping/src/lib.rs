//! The shipping service: packs confirmed orders, and tracks their shipments until delivery.
//!
//! | file | what |
//! |---|---|
//! | `shipment` | the states of a shipment and their durations, pure |
//! | `scan` | what the carrier tells, late, twice and in any order |
//! | `handlers` | the commands of the saga, and what became of orders |
//! | `carrier` | the simulated carrier: moves due shipments, a thousand times as fast as a real one |
//! | `http`, `store` | requests, tables |

mod carrier;
mod handlers;
mod http;
mod scan;
mod shipment;
mod store;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;
use tokio::sync::Notify;

/// The service's tables.
pub const MIGRATIONS: Migrations =
    commerce_chassis::migrations!("shipping", "0001_shipping", "0002_scans");

/// The carrier's rounds start at least this far apart; shipments that fall due meanwhile move
/// together.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let mut builder = ServiceBuilder::open(deployment, "shipping", &MIGRATIONS).await?;
    let work = Arc::new(Notify::new());
    let kit = builder.participant().await?;
    let carrier = carrier::Carrier::new(&builder, kit.clone());
    let secrets = deployment.webhook_secrets();
    let router = http::router(&builder, secrets.carrier.clone());
    let handlers = handlers::handlers(handlers::Shipping::new(&builder, kit));
    builder
        .rounds("carrier", carrier, Arc::clone(&work), MIN_INTERVAL)
        .build(router, handlers, vec![work])
        .await
}
