//! When a delayed row is due, for stores that reckon in this process.

use std::time::{Duration, SystemTime};

/// Adds a delay to a wall-clock time; one past the end of time ends far in the future, never now.
pub(crate) fn later(now: SystemTime, mut delay: Duration) -> SystemTime {
    loop {
        match now.checked_add(delay) {
            Some(later) => return later,
            None => delay /= 2,
        }
    }
}
