//! The payment service: a participant of the order saga that authorises, captures and gives
//! back payments at a payment provider, and keeps double-entry books.
//!
//! A handler writes what is left to do at the provider, in the transaction of the command. Settling
//! does it, outside of any transaction and with the command's id as effect key, and has the outcome,
//! the ledger entries and the answer to the saga written in one transaction. The provider may also
//! tell the outcome by itself, in a webhook.
//!
//! | file | what |
//! |---|---|
//! | `payment` | the states of a payment and the events about it, pure |
//! | `intent` | decides what follows from a provider's answer, pure |
//! | `ledger` | the entries of each operation, pure |
//! | `psp` | the simulated provider, with books of its own |
//! | `leased` | calls the provider for one effect at a time, with its key and a fencing token |
//! | `settling` | calls the provider for due intents |
//! | `outcome` | writes what came of an operation, whoever tells it |
//! | `refund` | gives back captured money, for an operator or for a return |
//! | `handlers`, `http`, `store` | the edges: commands, requests, tables |

mod handlers;
mod http;
mod intent;
mod leased;
mod ledger;
mod outcome;
mod payment;
mod psp;
mod refund;
mod settling;
mod store;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;
use tokio::sync::Notify;

/// The service's tables.
pub const MIGRATIONS: Migrations =
    commerce_chassis::migrations!("payment", "0001_payment", "0002_refunds", "0003_returns");

/// Rounds at the provider start at least this far apart.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

pub use psp::MIGRATIONS as PSP_MIGRATIONS;

/// Opens the service, and the simulated provider beside it.
///
/// # Errors
/// A database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let mut builder = ServiceBuilder::open(deployment, "payment", &MIGRATIONS).await?;
    let records = builder.records().await?;
    let psp = psp::open(deployment, "psp").await?;
    let kit = builder.participant().await?;
    let desk = handlers::Desk::new(&builder, kit);
    let work = Arc::new(Notify::new());
    let books = outcome::Books {
        db: builder.db().clone(),
        desk: desk.clone(),
    };
    let counter = http::Counter {
        books: books.clone(),
        records,
        psp: deployment.webhook_secrets().psp.clone(),
        work: Arc::clone(&work),
    };
    let settling = settling::Settling {
        books,
        provider: leased::Leased::new(psp, deployment.leases().await?),
    };
    let router = http::router(counter);
    builder
        .rounds("settling", settling, Arc::clone(&work), MIN_INTERVAL)
        .build(router, handlers::handlers(desk), vec![work])
        .await
}
