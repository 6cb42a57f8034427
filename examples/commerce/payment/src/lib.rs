//! The payment service: authorises, captures and voids payments at a payment provider, and keeps
//! double-entry books.
//!
//! | file | what |
//! |---|---|
//! | `payment` | the states of a payment, pure |
//! | `intent` | decides what follows from a provider's answer, pure |
//! | `ledger` | the entries of each operation, pure |
//! | `psp` | the simulated provider, with books of its own |
//! | `leased` | calls the provider for one effect at a time, with its key and a fencing token |
//! | `settling` | calls the provider for due intents, and writes the outcomes |
//! | `handlers`, `http`, `store` | the edges: events and commands, requests, tables |

mod handlers;
mod http;
mod intent;
mod leased;
mod ledger;
mod payment;
mod psp;
mod settling;
mod store;

use std::{sync::Arc, time::Duration};

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;
use tokio::sync::Notify;

/// The service's tables.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("payment", "0001_payment");

/// Rounds at the provider start at least this far apart.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

pub use psp::MIGRATIONS as PSP_MIGRATIONS;

/// Opens the service, and the simulated provider beside it.
///
/// # Errors
/// A database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "payment", &MIGRATIONS).await?;
    let (psp, psp_work) = psp::open(deployment).await?;
    let work = Arc::new(Notify::new());
    let provider = leased::Leased::new(commerce_chassis::remote(psp), deployment.leases().await?);
    let settling = settling::Settling::new(&builder, provider);
    let router = http::router(builder.db().clone());
    let handlers = handlers::handlers(builder.journal());
    builder
        .task("psp", psp_work)
        .rounds("settling", settling, Arc::clone(&work), MIN_INTERVAL)
        .build(router, handlers, vec![work])
        .await
}
