//! The order service: takes and prices orders, and carries each to its end by the `PlaceOrder` saga.
//!
//! | file | what |
//! |---|---|
//! | `order` | an order and its events, pure |
//! | `saga` | the steps of PlaceOrder, and what each means for the order, pure |
//! | `pricing` | the price of an order, pure |
//! | `orders` | records what happened to an order: its stream, its view, and what others hear |
//! | `request`, `placement` | a client's request, and the order that is made of it |
//! | `returning`, `returns` | what comes back and what it is worth, pure; a customer's return |
//! | `announcement` | what other services hear |
//! | `handlers`, `http`, `listing` | the edges: replies and products, requests, lists |
//! | `runs` | the runs of the saga, for operators |
//! | `price_book`, `view` | the tables |

mod announcement;
mod desk;
mod handlers;
mod http;
mod listing;
mod order;
mod orders;
mod placement;
mod price_book;
mod pricing;
mod request;
mod returning;
mod returns;
mod runs;
mod saga;
#[cfg(test)]
mod tests;
mod view;

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;

pub use desk::{Desk, desk};
pub use saga::PlaceOrder;

use orders::Orders;

/// The service's tables and seeds.
pub const MIGRATIONS: Migrations =
    commerce_chassis::migrations!("order", "0001_order", "0002_products");

/// Opens the service.
///
/// # Errors
/// The database cannot be opened, its schema is newer than this build, or it has orders under way
/// whose steps this build does not know.
pub async fn open(deployment: &Deployment) -> Result<Service> {
    let mut builder = ServiceBuilder::open(deployment, "order", &MIGRATIONS).await?;
    let records = builder.records().await?;
    let orders = Orders::new(builder.streams().await?, builder.outbox().clone());
    let saga = saga::orchestrator(builder.sagas().await?, orders.clone())?;
    saga.check_live().await?;

    let router = http::router(builder.db().clone(), records, saga.clone(), orders.clone());
    let desk = saga.desk();
    let router = router.merge(runs::router(saga.desk()));
    let handlers = handlers::handlers(saga.clone(), orders);
    let timers = saga
        .timers()
        .run_until(deployment.shutdown().clone().cancelled_owned());
    let timers = async move {
        timers.await;
        Ok(())
    };
    builder
        .task("timers of sagas", timers)
        .watch_sagas(desk)
        .build(router, handlers, Vec::new())
        .await
}
