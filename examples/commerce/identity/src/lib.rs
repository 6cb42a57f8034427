//! The identity service.

use axum::Router;
use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations = commerce_chassis::migrations!("identity", "0001_identity");

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "identity", &MIGRATIONS).await?;
    Ok(builder.build_without_subscriptions(Router::new()))
}
