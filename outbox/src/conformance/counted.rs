//! A store that counts what its relay asks of it: the condition of tests in which nothing must happen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use crate::{Error, Fetched, Limit, Notifier, Outcome, RelayStore, ShardLease};

pub(super) struct Counted<S> {
    store: Arc<S>,
    leases: AtomicUsize,
    looks: AtomicUsize,
}

impl<S> Counted<S> {
    pub(super) fn new(store: Arc<S>) -> Arc<Self> {
        Arc::new(Self {
            store,
            leases: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
        })
    }

    /// How often the lease was taken or renewed.
    pub(super) fn leases(&self) -> usize {
        self.leases.load(Ordering::SeqCst)
    }

    /// How often the relay looked for rows.
    pub(super) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl<S: RelayStore> RelayStore for Counted<S> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        let holds = self.store.lease(owner, lease).await;
        self.leases.fetch_add(1, Ordering::SeqCst);
        holds
    }

    async fn fetch(&self, holds: &[ShardLease], limit: Limit) -> Result<Fetched, Error> {
        let fetched = self.store.fetch(holds, limit).await;
        self.looks.fetch_add(1, Ordering::SeqCst);
        fetched
    }

    async fn record(&self, holds: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        self.store.record(holds, outcome).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.store.release(owner).await
    }

    fn notifier(&self) -> Option<&Notifier> {
        self.store.notifier()
    }
}
