//! The identity service: registers users, lets them in, and signs the tokens that prove who they are.
//!
//! Read `session` first: how a refresh token is replaced by its successor at each use, so that a
//! stolen one is noticed.
//!
//! | file | what |
//! |---|---|
//! | `session` | what a refresh token is worth: rotation, the grace of a lost answer, reuse; pure |
//! | `lockout` | how long a login is refused after wrong passwords; pure |
//! | `rotation` | the lives of signing keys: next, current, retired; pure |
//! | `password` | argon2id, bounded in parallel; an unknown user costs as much as a known one |
//! | `desk` | what users do: register, login, refresh, logout; each one transaction, with `UserChanged` in it |
//! | `keys` | signs tokens, and rotates the keys in time |
//! | `seeds` | 50 customers and an operator, who share one password that no table holds |
//! | `http`, `store` | requests, tables |

mod desk;
mod http;
mod keys;
mod lockout;
mod password;
mod rotation;
mod secret;
mod seeds;
mod session;
mod store;
#[cfg(test)]
mod tests;
mod user;

use std::{sync::Arc, time::Duration};

use commerce_chassis::{Deployment, Result, Service, ServiceBuilder};
use mainstay_database::Migrations;
use tokio::sync::Notify;

use desk::Desk;
use keys::Rotation;

pub use seeds::{CUSTOMERS, OPERATOR};

/// The service's tables.
pub const MIGRATIONS: Migrations =
    commerce_chassis::migrations!("identity", "0001_identity", "0002_ends");

/// How often keys and expired rows are looked after. Each process reads new keys that often; a key is
/// published for much longer before it signs.
const LOOKED_AFTER: Duration = Duration::from_secs(30);

/// Opens the service. The seeded users log in with `seed_password`; none = they do not.
///
/// # Errors
/// The database cannot be opened, or its schema is newer than this build.
pub async fn open(deployment: &Deployment, seed_password: Option<&str>) -> Result<Service> {
    let builder = ServiceBuilder::open(deployment, "identity", &MIGRATIONS).await?;
    let tables = (builder.db().clone(), builder.outbox().clone());
    let (ids, clock) = (builder.ids().clone(), builder.clock().clone());
    let desk = Desk::open(tables, ids, clock, deployment.keys(), seed_password).await?;
    let rotation = Rotation::new(&desk);
    Ok(builder
        .rounds(
            "rotation of keys",
            rotation,
            Arc::new(Notify::new()),
            LOOKED_AFTER,
        )
        .build_without_subscriptions(http::router(desk)))
}
