//! Leases of calls to third-party systems.

use std::{sync::Arc, time::Duration};

use mainstay_idempotency::Operations;

/// Leases on the keys of calls. They are in Redis if the deployment has one, so that processes share
/// them, and in the memory of this process otherwise.
pub type Leases = Arc<dyn mainstay_idempotency::Leases>;

/// How long an answer is given again: longer than it takes to write its consequence.
pub(crate) const CALLS_KEPT: Duration = Duration::from_secs(10 * 60);
/// How long after a kill another process may make the call.
const CALL_LEASE: Duration = Duration::from_secs(5);

/// Calls under these leases.
#[must_use]
pub fn call_leases(leases: Leases) -> Operations<Leases> {
    Operations::new(leases)
        .lease(CALL_LEASE)
        .store_timeout(CALL_LEASE / 5)
}
