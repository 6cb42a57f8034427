//! When a delayed row is due, for stores that compute it in this process.

use std::time::{Duration, SystemTime};

/// Adds a delay to a wall-clock time. A result beyond the end of time is far in the future, never now.
pub(crate) fn later(now: SystemTime, mut delay: Duration) -> SystemTime {
    loop {
        match now.checked_add(delay) {
            Some(later) => return later,
            None => delay /= 2,
        }
    }
}
