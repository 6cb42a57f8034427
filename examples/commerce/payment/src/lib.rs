//! The payment service: holds, takes and gives back money at a payment provider, and keeps double-entry books.
//!
//! | file | what |
//! |---|---|
//! | `payment` | the states of a payment, pure |
//! | `intent` | what the provider's answer means for what was asked, pure |
//! | `ledger` | the entries of each operation, pure |
//! | `psp` | the simulated provider, with books of its own |
//! | `settling` | asks the provider for what is due, and writes down what came of it |
//! | `handlers`, `http`, `store` | the edges: events and commands, requests, tables |

mod handlers;
mod http;
mod intent;
mod ledger;
mod payment;
mod psp;
mod settling;
mod store;

use std::time::Duration;

use commerce_chassis::{Bell, Deployment, Result, Service, Station};
use mainstay_database::Migrations;

/// The service's tables.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("payment", "0001_payment");

/// Between two rounds at the provider.
const REST: Duration = Duration::from_millis(5);

pub use psp::MIGRATIONS as PSP_MIGRATIONS;

/// Opens the service, and the simulated provider beside it.
///
/// # Errors
/// A database cannot be opened, or is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let station = Station::open(deployment, "payment", &MIGRATIONS).await?;
    let (psp, psp_work) = psp::open(deployment).await?;
    let bell = Bell::default();
    let settling = settling::Settling::new(&station, commerce_chassis::remote(psp));
    let router = http::router(station.db().clone());
    let handlers = handlers::handlers(station.journal());
    station
        .task("psp", psp_work)
        .rounds("settling", settling, bell.clone(), REST)
        .serve(router, handlers, vec![bell])
        .await
}
