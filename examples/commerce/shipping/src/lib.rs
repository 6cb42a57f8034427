//! The shipping service: packs what was confirmed, and follows it to the door.
//!
//! | file | what |
//! |---|---|
//! | `shipment` | the states of a shipment and how long each takes, pure |
//! | `carrier` | the simulated carrier: moves what is due, a thousand times as fast as a real one |
//! | `moves` | writing down that shipments moved |
//! | `handlers`, `http`, `store` | the edges: events and commands, requests, tables |

mod carrier;
mod handlers;
mod http;
mod moves;
mod shipment;
mod store;

use std::time::Duration;

use commerce_chassis::{Bell, Deployment, Result, Service, Station};
use mainstay_database::Migrations;

/// The service's tables.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("shipping", "0001_shipping");

/// Between two rounds of the carrier: what falls due meanwhile moves together.
const REST: Duration = Duration::from_millis(20);

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let station = Station::open(deployment, "shipping", &MIGRATIONS).await?;
    let bell = Bell::default();
    let carrier = carrier::Carrier::new(&station);
    let router = http::router(station.db().clone());
    let handlers = handlers::handlers(station.journal());
    station
        .rounds("carrier", carrier, bell.clone(), REST)
        .serve(router, handlers, vec![bell])
        .await
}
