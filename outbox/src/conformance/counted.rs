//! A store that counts the calls of its relay: the condition of tests in which nothing must happen.
//! On demand its reads ahead hang.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    Error,
    store::{Fetched, Limit, Notifier, Outcome, RelayStore, RowRef, ShardLease},
};

pub(super) struct Counted<S> {
    store: S,
    leases: AtomicUsize,
    looks: AtomicUsize,
    reads_ahead: AtomicUsize,
    hangs_ahead: AtomicBool,
}

impl<S> Counted<S> {
    pub(super) fn new(store: S) -> Arc<Self> {
        Arc::new(Self {
            store,
            leases: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
            reads_ahead: AtomicUsize::new(0),
            hangs_ahead: AtomicBool::new(false),
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

    /// How often the relay looked for rows behind those in flight.
    pub(super) fn reads_ahead(&self) -> usize {
        self.reads_ahead.load(Ordering::SeqCst)
    }

    /// From now on a read that leaves out rows in flight never ends. It still counts as a look.
    pub(super) fn hang_ahead(&self) {
        self.hangs_ahead.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl<S: RelayStore> RelayStore for Counted<S> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        let leases = self.store.lease(owner, lease).await;
        self.leases.fetch_add(1, Ordering::SeqCst);
        leases
    }

    async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        if !in_flight.is_empty() {
            self.reads_ahead.fetch_add(1, Ordering::SeqCst);
        }
        if !in_flight.is_empty() && self.hangs_ahead.load(Ordering::SeqCst) {
            self.looks.fetch_add(1, Ordering::SeqCst);
            return pending().await;
        }
        let fetched = self.store.fetch(leases, limit, in_flight).await;
        self.looks.fetch_add(1, Ordering::SeqCst);
        fetched
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
