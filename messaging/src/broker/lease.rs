//! Leases of members.

use std::time::Duration;

use mainstay_clock::Monotonic;

/// When to renew a lease that was taken now: after a third, but not all the time.
pub(crate) fn renewal(now: Monotonic, lease: Duration) -> Monotonic {
    now + (lease / 3).max(Duration::from_millis(1))
}
