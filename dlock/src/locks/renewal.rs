//! Renewal of all leases of a process, in a task of its own: work that does not yield does not starve it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Lease, Shared};
use crate::{Error, store::Holding};

/// Leases of one call. A store that runs one call at a time stays free for others.
const BATCH: usize = 500;

/// The leases to renew. Their task runs while there are any.
#[derive(Default)]
pub(crate) struct Renewals {
    numbers: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    leases: HashMap<u64, Weak<Lease>>,
    running: bool,
}

impl Renewals {
    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn add(&self, number: u64, lease: &Arc<Lease>) {
        let mut table = self.table();
        table.leases.insert(number, Arc::downgrade(lease));
        metrics::gauge!("mainstay_dlock_held").increment(1);
        metrics::counter!("mainstay_dlock_acquired").increment(1);
        if !table.running {
            table.running = true;
            let running = Running(Arc::clone(&lease.shared));
            lease.runtime().spawn(renew(running));
        }
    }

    pub(super) fn forget(&self, number: u64) {
        if self.table().leases.remove(&number).is_some() {
            metrics::gauge!("mainstay_dlock_held").decrement(1);
        }
    }

    /// The leases that are not over, or `None` if the task is to end.
    fn held(&self) -> Option<Vec<Arc<Lease>>> {
        let mut table = self.table();
        if table.leases.is_empty() {
            table.running = false;
            return None;
        }
        let leases = table.leases.values().filter_map(Weak::upgrade);
        let leases: Vec<_> = leases.collect();
        // Their last reference may be one of these, and its drop takes the lock.
        drop(table);
        let (held, over) = leases
            .into_iter()
            .partition::<Vec<_>, _>(|lease| lease.remaining().is_some());
        over.iter().for_each(lost);
        Some(held)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that renews. However it ends, even with its runtime, the next lease starts another one.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.renewals.table().running = false;
    }
}

async fn renew(running: Running) {
    let shared = Arc::clone(&running.0);
    let settings = &shared.settings;
    let third = settings.lease / 3;
    let mut pause = third;
    loop {
        tokio::time::sleep(pause).await;
        let Some(leases) = shared.renewals.held() else {
            return;
        };
        let began = settings.clock.monotonic();
        let mut renewed = true;
        for batch in leases.chunks(BATCH) {
            if let Err(error) = renew_batch(&shared, batch, third).await {
                tracing::warn!(%error, leases = batch.len(), "leases could not be renewed; trying again");
                renewed = false;
            }
        }
        let took = settings.clock.monotonic() - began;
        pause = if renewed {
            third.saturating_sub(took)
        } else {
            third / 8
        };
    }
}

async fn renew_batch(
    shared: &Shared,
    leases: &[Arc<Lease>],
    patience: Duration,
) -> Result<(), Error> {
    let held: Vec<Holding<'_>> = leases.iter().map(|lease| lease.holding()).collect();
    // Counted from before the request: the lease ends here before it ends in the store.
    let sent = shared.settings.clock.monotonic();
    let renewing = shared.store.renew(&held, shared.settings.lease);
    let renewed = tokio::time::timeout(patience, renewing).await;
    let renewed = renewed.map_err(|_| Error::Unavailable("it gave no answer in time".into()))??;
    for (lease, still_held) in leases.iter().zip(renewed) {
        if still_held {
            lease.extend(sent);
        } else if lease.remaining().is_some() {
            lease.lose();
            lost(lease);
        }
    }
    Ok(())
}

fn lost(lease: &Arc<Lease>) {
    metrics::counter!("mainstay_dlock_lost").increment(1);
    tracing::warn!(
        lock = lease.name,
        token = %lease.token,
        "the lease has ended while it was held; its work is dropped"
    );
    lease.shared.renewals.forget(lease.number());
}
