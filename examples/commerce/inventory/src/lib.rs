//! The inventory service: holds stock for orders, and commits or releases what it holds.
//!
//! | file | what |
//! |---|---|
//! | `shelf` | what can be held, pure: all of an order or nothing of it, never more than there is |
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

use commerce_chassis::{Deployment, Result, Service, Station};
use mainstay_database::Migrations;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("inventory", "0001_inventory");

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let station = Station::open(deployment, "inventory", &MIGRATIONS).await?;
    let router = http::router(station.db().clone());
    let handlers = handlers::handlers(station.journal());
    station.serve(router, handlers, Vec::new()).await
}
