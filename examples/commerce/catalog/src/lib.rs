//! The catalog service.

use axum::Router;
use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;
use mainstay_inbox::Handlers;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("catalog", "0001_catalog");

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "catalog", &MIGRATIONS).await?;
    builder
        .build(Router::new(), Handlers::new(), Vec::new())
        .await
}
