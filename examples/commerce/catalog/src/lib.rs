//! The catalog service: keeps the products, and answers what is for sale.
//!
//! It shows CQRS. A command writes the tables of the write side, the row of the read side, and the
//! event that order and inventory follow, in one transaction. Queries read the read side alone, which
//! also knows what other services tell: stock and sales. Their answers are cached.
//!
//! | file | what |
//! |---|---|
//! | `product` | a product, what a change of it is, and the event that tells it; pure |
//! | `query` | what a client searches for; pure |
//! | `etag` | the versions that a client knows; pure |
//! | `commands` | creates, changes and retires products |
//! | `handlers` | sales and stock levels |
//! | `cache` | answers, loaded once for all who ask at the same time |
//! | `http`, `http/commands`, `http/queries` | requests |
//! | `store`, `view` | the tables: write side, read side |

mod cache;
mod commands;
mod etag;
mod handlers;
mod http;
mod product;
mod query;
mod store;
#[cfg(test)]
mod tests;
mod view;

use std::{sync::Arc, time::Duration};

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;
use tokio::sync::Notify;

use cache::{Cache, CatchUp};
use commands::Commands;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("catalog", "0001_catalog");

/// The cache looks for changes of other processes at least this far apart.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "catalog", &MIGRATIONS).await?;
    let db = builder.db().clone();
    let cache = Cache::new();
    let commands = Commands::new(&builder, cache.clone());
    let router = http::router(db.clone(), cache.clone(), commands);
    let committed = Arc::new(Notify::new());
    let catch_up = CatchUp::new(db, cache);
    builder
        .rounds("cache", catch_up, Arc::clone(&committed), MIN_INTERVAL)
        .build(router, handlers::handlers(), vec![committed])
        .await
}
