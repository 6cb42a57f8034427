//! The payment service: a participant of the order saga that authorises, captures and gives
//! back payments at a payment provider, and keeps double-entry books.
//!
//! A handler writes what is left to do at the provider, in the transaction of the command. Settling
//! does it, outside of any transaction and with the command's id as effect key, and writes the
//! outcomes of a round, their ledger entries and the answers to the saga in one transaction.
//!
//! | file | what |
//! |---|---|
//! | `payment` | the states of a payment and the events about it, pure |
//! | `intent` | decides what follows from a provider's answer, pure |
//! | `ledger` | the entries of each operation, pure |
//! | `psp` | the simulated provider, with books of its own |
//! | `leased` | calls the provider for one effect at a time, with its key and a fencing token |
//! | `settling` | calls the provider for due intents, and writes the outcomes |
//! | `handlers`, `http`, `store` | the edges: commands, requests, tables |

mod handlers;
mod http;
mod intent;
mod leased;
mod ledger;
mod payment;
mod psp;
mod settling;
mod store;
#[cfg(test)]
mod tests;

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
    let psp = commerce_chassis::remote(psp::open(deployment, "psp").await?);
    let desk = handlers::Desk {
        kit: builder.participant().await?,
        clock: Arc::clone(builder.clock()),
    };
    let settling = settling::Settling {
        db: builder.db().clone(),
        desk: desk.clone(),
        provider: leased::Leased::new(psp, deployment.leases().await?),
    };
    let (router, work) = (http::router(builder.db().clone()), Arc::new(Notify::new()));
    builder
        .rounds("settling", settling, Arc::clone(&work), MIN_INTERVAL)
        .build(router, handlers::handlers(desk), vec![work])
        .await
}
