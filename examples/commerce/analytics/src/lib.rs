//! The analytics service: counts what the shop sold, from nine kinds of events.
//!
//! One row per order holds the facts. Counts by day are sums over the facts, kept up with each
//! batch of events: one call of one handler, four statements, however many events. This is the only
//! batch handler that a service of the shop writes; elsewhere the engines batch.
//!
//! Events of different topics come in any order. An event fills its own fields of its order's facts,
//! and a field keeps its first time or its largest amount. So facts and counts are the same for
//! every order of the events, and however often each comes.
//!
//! | file | what |
//! |---|---|
//! | `fact` | the facts of an order, and what an event changes, pure |
//! | `counts` | what an order adds to the counts, and their hash, pure |
//! | `handler` | projects a batch of events |
//! | `rebuild` | counts again from the facts, beside the live counts, and swaps |
//! | `check` | the live counts against the facts, for `commerce verify` |
//! | `http`, `export`, `store` | reports, CSV, tables |

mod check;
mod counts;
mod export;
mod fact;
mod handler;
mod http;
mod rebuild;
mod store;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;
use tokio::sync::Notify;

pub use check::{Comparison, compare};

/// The service's tables.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("analytics", "0001_analytics");

/// Pages of a rebuild start at least this far apart, so that events are counted between them.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "analytics", &MIGRATIONS).await?;
    let work = Arc::new(Notify::new());
    let router = http::router(&builder, Arc::clone(&work));
    let rebuild = rebuild::Rebuild::new(&builder);
    builder
        .rounds("rebuild", rebuild, work, MIN_INTERVAL)
        .build(router, handler::handlers(), Vec::new())
        .await
}
