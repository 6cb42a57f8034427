//! How long a login is refused after wrong passwords.

use std::time::Duration;

/// Wrong passwords that cost nothing.
pub(crate) const FREE: i64 = 5;
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// After this time without an attempt, the count starts over.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// The lock that follows a number of failures in a row; none = none yet.
pub(crate) fn lock(failures: i64) -> Option<Duration> {
    let beyond = failures.checked_sub(FREE).filter(|beyond| *beyond >= 0)?;
    let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
    let doubled = 2_u32.checked_pow(beyond).unwrap_or(u32::MAX);
    Some(FIRST.saturating_mul(doubled).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_doubles_up_to_a_quarter_of_an_hour() {
        let seconds = |failures| lock(failures).map(|lock| lock.as_secs());
        assert_eq!((seconds(0), seconds(FREE - 1)), (None, None));
        let doubling: Vec<_> = (FREE..FREE + 6).filter_map(seconds).collect();
        assert_eq!(doubling, [30, 60, 120, 240, 480, 900]);
        assert_eq!((seconds(1_000), seconds(i64::MAX)), (Some(900), Some(900)));
    }
}
