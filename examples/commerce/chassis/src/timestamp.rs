//! Times as text. Elsewhere a time is a number of microseconds since 1970, in UTC.

use jiff::Timestamp;

/// Writes RFC 3339 with microseconds. A time after the year 9999 is written as that year's last
/// moment.
#[must_use]
pub fn rfc3339(micros: i64) -> String {
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX);
    format!("{time:.6}")
}

/// Reads any RFC 3339 time.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_microseconds_and_reads_back() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (1_767_225_599_999_999, "2025-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(rfc3339(micros), text);
            assert_eq!(from_rfc3339(text), Some(micros));
        }
        assert!(rfc3339(i64::MAX).starts_with("9999-12-3"), "no panic");
        assert_eq!(from_rfc3339("yesterday"), None);
    }
}
