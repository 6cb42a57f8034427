//! The network between one client and the server.

use std::fmt;

use async_trait::async_trait;

use super::{CommitFault, Fault};

/// How long each call of one client takes to the server, and whether it arrives. For simulations of
/// several hosts, of which one is cut off or stalls while the others continue; see
/// [`Database::through`](super::Database::through).
#[async_trait]
pub trait Link: fmt::Debug + Send + Sync + 'static {
    /// A transaction is about to begin. False if the server cannot be reached.
    async fn begin(&self) -> bool;

    /// A statement is on its way.
    async fn statement(&self) -> Option<Fault>;

    /// A commit is on its way.
    async fn commit(&self) -> Option<CommitFault>;

    /// Whether the server does not notice now that this client dropped a transaction: it
    /// [lingers](super::Faults::lingering).
    fn lingers(&self) -> bool;
}
