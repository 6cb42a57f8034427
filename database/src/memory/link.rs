//! What lies between one client and the server.

use std::fmt;

use async_trait::async_trait;

use super::{CommitFault, Fault};

/// The way of one client's calls to the server: how long each takes, and whether it arrives. For simulations of several hosts,
/// of which one is cut off or stands still while the others go on; see [`Database::through`](super::Database::through).
#[async_trait]
pub trait Link: fmt::Debug + Send + Sync + 'static {
    /// A transaction is about to begin. False = it does not: the server is out of reach.
    async fn begin(&self) -> bool;

    /// A statement is on its way.
    async fn statement(&self) -> Option<Fault>;

    /// A commit is on its way.
    async fn commit(&self) -> Option<CommitFault>;

    /// Whether the server does not hear now that this client has dropped a transaction: it
    /// [lingers](super::Faults::lingering).
    fn lingers(&self) -> bool;
}
