//! A relay that ends when all is done.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_outbox::{
    Error,
    store::{Fetched, Limit, Notifier, Outcome, RelayStore, RowRef, ShardLease},
};
use tokio_util::sync::CancellationToken;

/// A relay's store that ends the relay when it has nothing left to do.
pub(super) struct Rounds<S> {
    store: S,
    quiet: CancellationToken,
}

impl<S> Rounds<S> {
    pub(super) const fn new(store: S, quiet: CancellationToken) -> Self {
        Self { store, quiet }
    }
}

#[async_trait]
impl<S: RelayStore> RelayStore for Rounds<S> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        self.store.lease(owner, lease).await
    }
    async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        let fetched = self.store.fetch(leases, limit, in_flight).await?;
        if fetched.rows.is_empty() && fetched.blocked_keys == 0 && fetched.next_due.is_none() {
            self.quiet.cancel();
        }
        Ok(fetched)
    }
    async fn record(&self, leases: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        self.store.record(leases, outcome).await
    }
    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.store.release(owner).await
    }
    fn notifier(&self) -> Option<&Notifier> {
        self.store.notifier()
    }
}
